"""What comes out of each stage of AVISM, by its name in the reference; for comparing networks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import torch.nn.functional as F
from torch import Tensor, nn

from streamavis.model.fusion_dense import AudioCentricFusion, DenseFusion

if TYPE_CHECKING:
    from types import TracebackType

    from torch.utils.hooks import RemovableHandle

    from streamavis.model.avism import AVISM, AVISMOutput
    from streamavis.model.pixel_decoder import PixelFeatures

__all__ = ["StageRecorder", "run_with_stages"]


def run_with_stages(
    model: AVISM, frames: Tensor, audio_features: Tensor
) -> tuple[AVISMOutput, dict[str, Tensor]]:
    """What `model` returns, and what came out of each stage, by its name in the reference."""
    with StageRecorder(model) as recorder:
        output = model(frames, audio_features)
    return output, recorder.stages(output)


class StageRecorder:
    """Records what the parts of a network return while it is open, by hooks.

    Frames of a batch lie one after the other, tracker stages are of the first clip.
    """

    def __init__(self, model: AVISM) -> None:
        self._model = model
        self.recorded: dict[str, Tensor] = {}  # what has come by, whatever part was run
        self._handles: list[RemovableHandle] = []

    def __enter__(self) -> Self:
        model = self._model
        watched: dict[str, nn.Module | None] = {
            "clip_mask_features": model.video_mask_features,
            "pixel.mask_features": model.pixel_decoder.mask_features,
            "trk.object_tokens": model.object_encoder.project,
            "trk.audio_proj": model.object_encoder.audio,
        }
        watched |= _numbered("pixel.input_proj.{}", model.pixel_decoder.project)
        watched |= _numbered("pixel.encoder_layer.{}", model.pixel_decoder.layers)
        watched |= _numbered("dec.layer.{}.queries", model.localizer.layers)
        watched |= _numbered("trk.obj_encoder.{}", model.object_encoder.layers)
        watched |= _numbered("trk.vlavfm.{}", model.object_encoder.audio_layers)
        watched |= _numbered("trk.obj_decoder.{}", model.object_decoder.layers)
        fusion = model.localizer.fusion
        if isinstance(fusion, DenseFusion | AudioCentricFusion):
            watched["dec.audio_proj"] = fusion.audio
            watched |= _numbered("dec.flavfm.level{}", fusion.norms)
            watched["dec.flavfm.post_proj"] = getattr(fusion, "merge", None)
            watched["dec.queries_init"] = fusion
        for name, module in watched.items():
            if module is not None:
                self._handles.append(module.register_forward_hook(self._keeper(name)))
        self._handles.append(model.backbone.register_forward_hook(self._keep_pyramid))
        self._handles.append(model.pixel_decoder.register_forward_hook(self._keep_features))
        self._handles.append(model.localizer.register_forward_hook(self._keep_heads))
        # Inference keeps the last layer's heads alone.
        self._handles.append(
            model.localizer.register_forward_pre_hook(self._every_layer, with_kwargs=True)
        )
        # The sum of objects and sound has no module of its own.
        self._handles.append(model.object_encoder.register_forward_hook(self._keep_tokens))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for handle in self._handles:
            handle.remove()

    def stages(self, output: AVISMOutput) -> dict[str, Tensor]:
        """Everything that was recorded in the run that gave `output`."""
        batched = output.class_logits.ndim == 3
        stages = dict(self.recorded)
        frames = output.frame_queries.shape[-3]
        pad = -frames % self._model.config.window
        for name, x in self.recorded.items():
            if name.startswith(("trk.obj_encoder.", "trk.vlavfm.")):
                if "vlavfm" in name:
                    # A frame's audio tokens, one or many, are all alike.
                    spread = (x[0] - x[0, :, :1]).abs().max()
                    stages[f"{name}.max_spread_over_queries"] = spread
                # The reference pads to whole windows; such rows mean nothing.
                x = F.pad(x[0], (0, 0, 0, 0, 0, pad))
                stages[name] = x[:, 0] if "vlavfm" in name else x
            elif name.startswith("trk."):
                stages[name] = x[0]
        own = {
            "frame_queries_last": output.frame_queries,
            "trk.video_queries": output.video_queries,
            "trk.pred_logits": output.class_logits,
            "trk.pred_mask_embed": output.mask_embed,
            "trk.pred_cq_embed": output.similarity,
            "mask_logits_stride4": output.mask_logits,
        }
        return stages | {name: x[0] if batched else x for name, x in own.items()}

    def _every_layer(self, module: nn.Module, inputs: Any, options: dict[str, Any]) -> Any:
        return inputs, options | {"keep": self._model.config.frame_layers + 1}

    def _keeper(self, name: str) -> Any:
        def keep(module: nn.Module, inputs: Any, output: Tensor) -> None:
            self.recorded[name] = output.detach()

        return keep

    def _keep_pyramid(self, module: nn.Module, inputs: Any, output: list[Tensor]) -> None:
        for i, x in enumerate(output):
            self.recorded[f"backbone.res{i + 2}"] = x.detach()

    def _keep_features(self, module: nn.Module, inputs: Any, output: PixelFeatures) -> None:
        self.recorded["pixel.out_stride4"] = output.stride4.detach()
        for i, shape in enumerate(output.level_shapes):
            level = output.level(i).detach().transpose(1, 2)
            self.recorded[f"pixel.multi_scale.{i}"] = level.unflatten(2, shape)

    def _keep_heads(self, module: nn.Module, inputs: Any, output: Any) -> None:
        self.recorded.setdefault("dec.queries_init", output.queries[0].detach())
        for i, prediction in enumerate(output.predictions):
            self.recorded[f"dec.head.{i}.class_logits"] = prediction.class_logits.detach()
            logits = prediction.mask_logits.detach()
            self.recorded[f"dec.head.{i}.mask_logits"] = logits
            size = inputs[0].level_shapes[i % len(inputs[0].level_shapes)]
            blocked = F.interpolate(logits, size, mode="bilinear", align_corners=False) < 0
            share = blocked.flatten(2).float().mean(-1)
            self.recorded[f"dec.head.{i}.attn_mask_blocked_frac"] = share

    def _keep_tokens(self, module: nn.Module, inputs: Any, output: Tensor) -> None:
        self.recorded["trk.fused_tokens"] = output.detach().flatten(1, 2)


def _numbered(name: str, modules: nn.ModuleList) -> dict[str, nn.Module | None]:
    return {name.format(i): module for i, module in enumerate(modules)}
