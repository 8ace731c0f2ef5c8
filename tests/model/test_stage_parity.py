"""Each part of AVISM on its own, against the reference's recordings of it (`make parity`)."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import torch
from golden_files import FOLDER, assert_alike, load, marks, names
from reference_weights import full_state, manifests, tensor, weight
from stage_recorder import StageRecorder
from streamavis_kernels import audio_deform_attn, deform_attn
from streamavis_kernels.sampling import reference

from streamavis.checkpoint import avism_from_reference
from streamavis.layers import sine_position
from streamavis.model.avism import AVISM
from streamavis.model.pixel_decoder import PixelFeatures
from streamavis.model.swin import Swin, SwinConfig

pytestmark = marks
LENGTHS = (1, 2, 3, 5, 6, 7, 11, 12, 13, 18, 32)


@pytest.fixture(scope="module")
def model() -> AVISM:
    return avism_from_reference(full_state("R50_IN"))


def test_pixel_decoder(model):
    golden = load("iso_pixel_decoder")
    shapes = {"res2": (256, 24, 40), "res3": (512, 12, 20), "res4": (1024, 6, 10)}
    pyramid = [tensor(f"iso.{k}", (2, *v)).relu() for k, v in shapes.items()]
    pyramid.append(tensor("iso.res5", (2, 2048, 3, 5)).relu())
    with StageRecorder(model) as recorder:
        features = model.pixel_decoder(pyramid)
        model.video_mask_features(features.stride4)
    for name in names(golden):
        if name.startswith("pos_"):
            height, width = map(int, name.removeprefix("pos_").split("x"))
            position = sine_position(height, width, 256, torch.device("cpu"))
            assert_alike(golden, name, position.T.unflatten(1, (height, width)))
            continue
        stage = name if name.startswith("clip_") else f"pixel.{name}"
        assert_alike(golden, name, recorder.recorded[stage])


def test_frame_decoder(model):
    golden = load("iso_transformer_decoder")
    sizes = ((3, 5), (6, 10), (12, 20))
    maps = [tensor(f"iso.ms{i}", (2, 256, *size)) for i, size in enumerate(sizes)]
    tokens = torch.cat([m.flatten(2).transpose(1, 2) for m in maps], 1)
    masks = tensor("iso.mf", (2, 256, 24, 40), 0.7)
    features = PixelFeatures(tokens, sizes, maps[-1], masks, masks)
    with StageRecorder(model) as recorder:
        found = model.localizer(features, tensor("iso.audio", (2, 128), 0.8).relu(), keep=10)
    ours = recorder.recorded | {"frame_queries": model.localizer.norm(found.queries[-1])}
    # (layers, frames, queries, channels): one layer in inference, the last three in training.
    assert golden.pop("frame_queries_shape_eval").tolist() == [1, *ours["frame_queries"].shape]
    assert golden.pop("frame_queries_shape_train").tolist() == [3, *ours["frame_queries"].shape]
    for name in names(golden):
        assert_alike(golden, name, ours[name])


def tracker_inputs(frames: int) -> tuple[torch.Tensor, torch.Tensor]:
    queries = tensor(f"iso.trk.fq.T{frames}", (1, frames, 100, 256))
    return queries, tensor(f"iso.trk.audio.T{frames}", (1, frames, 128), 0.8).relu()


def padded(x: torch.Tensor) -> torch.Tensor:
    """(1, T, ...) without its batch, with rows up to a whole window."""
    return torch.cat([x[0], x.new_zeros(-x.shape[1] % 6, *x.shape[2:])])


@pytest.mark.parametrize("frames", LENGTHS)
def test_tracker(model, frames):
    golden = load("iso_tracker")
    assert {name.split(".")[0] for name in golden} == {f"T{t}" for t in LENGTHS} | {"train"}
    with StageRecorder(model) as recorder:
        found = model.read(model.track(*tracker_inputs(frames)))
    ours = {
        "obj_encoder_out_padded": padded(recorder.recorded["trk.obj_encoder.5"]),
        "vlavfm_out_padded": padded(recorder.recorded["trk.vlavfm.5"])[:, 0],
        "pred_logits": found.class_logits[0],
        "pred_mask_embed": found.mask_embed[0],
        "pred_cq_embed": found.similarity[0],
    }
    theirs = {n.split(".")[1] for n in names(golden) if n.startswith(f"T{frames}.")}
    assert theirs - {"vlavfm_spread_over_queries"} == set(ours)
    for name, value in ours.items():
        rows = frames if name.endswith("padded") else None
        assert_alike(golden, f"T{frames}.{name}", value, rows)


def test_tracker_layer_by_layer(model):
    golden = load("iso_tracker_T7_layers")
    with StageRecorder(model) as recorder:
        video = model.track(*tracker_inputs(7))
    ours = {name.removeprefix("trk."): x for name, x in recorder.recorded.items()}
    ours |= {"video_queries": video, "pred_mask_embed": model.read(video).mask_embed}
    for name in names(golden):
        value = ours[name]
        if name.startswith(("obj_encoder.", "vlavfm.")):
            value = padded(value)[:, 0] if "vlavfm" in name else padded(value)
            assert_alike(golden, name, value, 7)
        else:
            assert_alike(golden, name, value[0])


def test_tracker_in_training(model):
    """Unshifted object layers, the queries of three frame layers, heads after every layer."""
    golden = load("iso_tracker")
    queries = tensor("iso.trk.fq.train", (3, 5, 100, 256))
    audio = tensor("iso.trk.audio.train", (5, 128), 0.8).relu()
    tokens = model.object_encoder(queries, audio.expand(3, -1, -1), shift=False)
    *others, last = (model.read(video) for video in model.object_decoder(tokens))
    ours = {"pred_fq_embed": model.token_similarity(tokens)}
    for prefix, heads in (("", last), *((f"aux{i}.", x) for i, x in enumerate(others))):
        ours[f"{prefix}pred_logits"] = heads.class_logits
        ours[f"{prefix}pred_mask_embed"] = heads.mask_embed
        ours[f"{prefix}pred_cq_embed"] = heads.similarity
    theirs = [name for name in names(golden) if name.startswith("train.")]
    assert set(theirs) == {f"train.{name}" for name in ours}
    for name, value in ours.items():
        assert_alike(golden, f"train.{name}", value[:, None])


@pytest.mark.parametrize("operator", [deform_attn, reference.deform_attn])
def test_deformable_attention(operator):
    golden = load("msdeformattn_core")
    shapes = [(h, w) for h, w in golden["core.spatial_shapes"].tolist()]
    inputs = ("value", "sampling_locations", "attention_weights")
    arguments = [torch.from_numpy(golden[f"core.{n}"]).requires_grad_() for n in inputs]
    found = operator(arguments[0], shapes, *arguments[1:])
    found.backward(torch.from_numpy(golden["core.grad_output"]))
    assert_alike(golden, "core.output", found)
    for name, argument in zip(inputs, arguments, strict=True):
        assert_alike(golden, f"core.grad_{name}", argument.grad)


def test_deformable_attention_from_projections(model):
    golden = load("msdeformattn_module")
    shapes = tuple((h, w) for h, w in golden["spatial_shapes"].tolist())
    query, source = (
        tensor(f"msda.mod.{n}", (2, 504, 256)).requires_grad_() for n in ("query", "src")
    )
    points = torch.from_numpy(golden["reference_points"])
    layer = model.pixel_decoder.layers[0]
    value = layer.value(source).unflatten(-1, (layer.heads, -1))
    found = layer.out(audio_deform_attn(value, shapes, layer.projections(query), points))
    found.backward(tensor("msda.mod.grad_out", (2, 504, 256)))
    assert_alike(golden, "mod.output", found)
    assert_alike(golden, "mod.grad_query", query.grad)
    assert_alike(golden, "mod.grad_src", source.grad)


def test_swin():
    golden = load("swin_tiny_backbone")
    swin = Swin(SwinConfig(48, (2, 2, 4, 2), (2, 4, 8, 16))).eval().requires_grad_(False)
    state = swin.state_dict()
    theirs = dict(json.loads(str(golden.pop("manifest_json"))))
    derived = {name for name in theirs if name.endswith(("relative_position_index", "attn_mask"))}
    assert theirs.keys() - derived == state.keys()
    for name, value in state.items():
        assert list(value.shape) == theirs[name]
        value.copy_(weight(f"backbone.{name}", tuple(value.shape)))
    for size in {name.split(".")[0] for name in names(golden)}:
        height, width = map(int, size.split("x"))
        maps = swin(tensor(f"iso.swin.{size}", (1, 3, height, width)))
        for i, value in enumerate(maps):
            assert_alike(golden, f"{size}.res{i + 2}", value)


@pytest.mark.parametrize("name", sorted(manifests()))
def test_manifests_are_those_of_the_reference(name):
    """What the other tests take from `data/` is what the folder holds."""
    recorded = json.loads((Path(FOLDER or "") / f"state_dict_{name}.json").read_text())
    theirs = [(key, tuple(shape), dtype) for key, shape, dtype in recorded["entries"]]
    assert manifests()[name] == theirs


def test_every_file_is_read():
    """A new recording must get a test; parity tests name theirs."""
    here = Path(__file__).parents[1]
    text = "".join(path.read_text() for path in here.rglob("test_*parity.py"))
    for path in Path(FOLDER or "").iterdir():
        if path.suffix in (".npz", ".json"):
            known = path.stem in text or path.stem.startswith(("state_dict_", "r50_T7_96x160_"))
            assert known, f"no test reads {path.name}"


def test_weights_are_those_of_the_recordings():
    """By the digest that stands beside the manifest."""
    recorded = json.loads((Path(FOLDER or "") / "state_dict_R50_IN.json").read_text())
    state = full_state("R50_IN")
    for key, value in state.items():
        if key.endswith("empty_weight"):
            value.fill_(1)[-1] = 0.1
    digest = hashlib.sha256()
    for key in sorted(state):
        digest.update(key.encode() + state[key].numpy().astype("<f4").tobytes())
    assert digest.hexdigest() == recorded["recipe_sha256"]
