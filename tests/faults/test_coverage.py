"""Every fault this product promises to survive, and the test that injects it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

FAULTS = {
    "camera closes or is unplugged": [
        "faults/test_inputs.py::test_a_camera_that_closes_is_lost_in_the_next_status_and_back_with_its_first_frame",
        "faults/test_inputs.py::test_a_hundred_breaks_leave_no_thread_behind",
    ],
    "camera hangs": [
        "faults/test_inputs.py::test_a_camera_that_hangs_without_a_word_is_lost_within_half_a_second",
        "faults/test_inputs.py::test_a_hundred_breaks_leave_no_thread_behind",
    ],
    "camera freezes": [
        "faults/test_inputs.py::test_a_picture_that_does_not_change_is_told_as_the_source_tells_it",
    ],
    "microphone unplugged": [
        "faults/test_inputs.py::test_the_microphone_gone_results_keep_their_rate_and_nobody_guesses",
        "faults/test_inputs.py::test_the_microphone_gone_while_no_results_come_is_told_as_well",
    ],
    "sound server killed or hanging, end to end": [
        "benchmarks/test_bench_live.py::test_a_microphone_and_a_disk_break_and_the_recording_stays_readable",
    ],
    "microphone overflow": [
        "runtime/test_live_engine.py::test_a_gap_of_the_sound_is_known_by_its_length",
    ],
    "wall clock steps": ["faults/test_time.py::test_a_step_of_the_wall_clock_changes_no_result"],
    "stamps backwards, repeated, far off": [
        "faults/test_time.py::test_stamps_that_lie_end_no_stream",
    ],
    "model slower than the camera": [
        "faults/test_load.py::test_a_slow_model_gets_fresh_frames_and_their_age_does_not_grow",
        "runtime/test_governor.py::test_it_stops_where_the_machine_keeps_up_and_does_not_swing",
    ],
    "one of several streams stalls": [
        "faults/test_load.py::test_a_stalled_neighbour_changes_nobody_s_latency_for_the_worse",
        "runtime/test_live_engine.py::test_a_stalled_stream_delays_nobody_and_is_told",
    ],
    "reader stalls": [
        "faults/test_readers.py::test_eight_readers_that_never_read_cost_no_memory_and_delay_nobody",
        "wire/test_publisher.py::test_a_reader_that_never_reads_slows_nobody",
    ],
    "peer half dead": [
        "faults/test_readers.py::test_a_half_dead_engine_is_dropped_by_the_heartbeat",
    ],
    "engine dies": [
        "faults/test_readers.py::test_an_engine_that_freezes_or_dies_is_silence_and_the_robot_is_called",
    ],
    "hostile packets": [
        "wire/test_codec.py::test_many_mutations_are_read_or_refused",
        "wire/test_publisher.py::test_noise_on_the_port_is_survived",
    ],
    "wrong or absent key": [
        "faults/test_keys.py::test_a_wrong_or_absent_key_gets_nothing_and_both_sides_say_why",
        "faults/test_keys.py::test_a_reader_with_a_key_believes_no_clear_publisher",
        "faults/test_keys.py::test_older_protocols_are_no_way_around",
        "faults/test_keys.py::test_a_refused_reader_comes_back_more_and_more_slowly",
        "faults/test_keys.py::test_whoever_is_revoked_is_out_and_the_others_are_back",
        "faults/test_keys.py::test_a_fault_of_the_authenticator_lets_nobody_in",
    ],
    "error or NaN in the model": [
        "runtime/test_live_engine.py::test_a_model_that_breaks_is_started_anew_within_three_frames",
        "runtime/test_live_engine.py::test_a_model_that_is_given_up_is_tried_slowly_and_comes_back",
        "runtime/test_batch.py::test_a_failing_step_stays_with_the_stream_it_belongs_to",
    ],
    "signal at any moment": [
        "faults/test_stop.py::test_a_hundred_stops_at_random_moments_end_cleanly",
        "faults/test_stop.py::test_a_signal_ends_the_command_with_its_outputs_whole",
    ],
    "bad files": ["io/test_bad_media.py::test_what_cannot_be_opened_says_why"],
    "disk full": ["faults/test_outputs.py::test_a_full_disk_costs_its_output_and_one_notice"],
    "long runs": [
        "benchmarks/test_soak.py::test_a_short_soak_reports_every_fault_and_recovers",
        "benchmarks/test_bench_live.py::test_every_picture_is_accounted_for_whatever_the_camera_does",
    ],
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_has_its_test(fault):
    for place in FAULTS[fault]:
        file, _, name = place.partition("::")
        tree = ast.parse((ROOT / file).read_text())
        names = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        assert name in names, place
