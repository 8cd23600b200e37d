"""The tables of expression-v1: speech and faces. Its names are open, so a row's scores are one column a list."""

from __future__ import annotations

from hume_runner.services.table_shapes import Column, Layout, OpenFamily

_BOUNDS = (0.0, 1.0)
_EXPRESSIONS = OpenFamily(
    name="expressions",
    prefix="expression",
    words="expressions",
    meaning="expressions above the service's cutoff, by name",
    bounds=_BOUNDS,
)

AUDIO = Layout(
    name="audio",
    row="one measurement: a window of one utterance",
    time=("begin_s", "end_s"),
    cut="cut_in_speech",
    columns=(
        Column(name="utterance_id", type="integer", meaning="number of the utterance within the item, from 0"),
        Column(
            name="measurement_id",
            type="integer",
            meaning="number of the measurement within the item, from 0; null for an utterance without one",
        ),
        Column(name="begin_s", type="number", meaning="start of the window, in seconds from the start of the source"),
        Column(name="end_s", type="number", meaning="end of the window; it may lie a little after the utterance's end"),
        Column(name="utterance_begin_s", type="number", meaning="start of the utterance, in seconds"),
        Column(name="utterance_end_s", type="number", meaning="end of the utterance, in seconds"),
        Column(
            name="trigger", type="string", meaning="why it was measured: interval, speech_ended, or what comes later"
        ),
        Column(
            name="cut_in_speech",
            type="boolean",
            meaning="true if the recording was cut, or a clip joined, inside this utterance; null if that is not known",
        ),
        Column(
            name="channel",
            type="integer",
            meaning="the channel of the source that was measured alone, from 1; null for all of them together",
        ),
    ),
    open_families=(
        _EXPRESSIONS,
        OpenFamily(
            name="voice_attributes",
            prefix="voice_attribute",
            words="voice attributes",
            meaning="voice attributes above the service's cutoff, by name",
            bounds=_BOUNDS,
        ),
    ),
)
VIDEO = Layout(
    name="video",
    row="one face in one frame or picture",
    time=("time_s", "time_s"),
    confidence=("confidence",),
    columns=(
        Column(name="frame", type="integer", meaning="number of the frame among those that were sent, from 0"),
        Column(name="time_s", type="number", meaning="moment of the frame, in seconds; null for a still picture"),
        Column(
            name="face_id",
            type="integer",
            meaning="number of the face in the answer; null if it was only found, and for a still picture",
        ),
        Column(name="epoch", type="integer", meaning="how often the numbering of faces began anew in this item before"),
        Column(name="measured", type="boolean", meaning="false if the face was found and not measured"),
        Column(name="confidence", type="number", meaning="confidence that this is a face, 0 to 1"),
        Column(name="box_x", type="number", meaning="left edge of the face, in pixels of the picture as it was sent"),
        Column(name="box_y", type="number", meaning="top edge of the face, in pixels"),
        Column(name="box_right", type="number", meaning="right edge of the face, in pixels"),
        Column(name="box_bottom", type="number", meaning="bottom edge of the face, in pixels"),
        Column(name="box_w", type="number", meaning="width of the face, in pixels: box_right less box_x"),
        Column(name="box_h", type="number", meaning="height of the face, in pixels: box_bottom less box_y"),
    ),
    open_families=(
        _EXPRESSIONS,
        OpenFamily(
            name="descriptions",
            prefix="description",
            words="descriptions",
            meaning="facial actions above the service's cutoff, by name",
            bounds=_BOUNDS,
        ),
    ),
)

LAYOUTS = (AUDIO, VIDEO)
