"""A procedural simulator of narrated eye surgery: never real data.

patient seed -> look of the eye -> phase segments with hard cuts -> frames, narration, overlays,
faults -> MP4 with sound, sidecar subtitles and a ground-truth file. It is the demo's data and
the golden source of the curation tests. `phantom.make.make_phantoms` writes videos;
`phantom.scene.render_clip` renders one clip of one phase in memory.
"""
