"""RBPN as its authors and iSeeBetter distribute it, and the small back-projection network within."""

from restoration.foreign.layout import Layout, Match, Spec, State, count, has, renamed, width_and_channels

SCALES = {6: 2, 8: 4, 12: 8}  # by the side of the projections' kernels

_PROJECTION = {
    r"feat1\.conv\.(\w+)": r"head.conv.\1",
    r"feat1\.act\.weight": r"head.slope.weight",
    r"output\.conv\.(\w+)": r"tail.\1",
    **{
        rf"{way}{i + 1}\.{way}_conv{j}\.{kind}": rf"{way}s.{i}.{part}.{ours}"
        for way in ("up", "down")
        for i in range(3)
        for j, part in enumerate(("first", "back", "correction"), 1)
        for kind, ours in ((r"(?:de)?conv\.(\w+)", r"conv.\1"), (r"act\.weight", "slope.weight"))
    },
}
_BRANCHES = {"res_feat1": "multi", "res_feat2": "error", "res_feat3": "back"}
_RBPN = {
    **{rf"DBPN\.{theirs}": f"single.{ours}" for theirs, ours in _PROJECTION.items()},
    r"feat0\.conv\.(\w+)": r"target.conv.\1",
    r"feat0\.act\.weight": "target.slope.weight",
    r"feat1\.conv\.(\w+)": r"pair.conv.\1",
    r"feat1\.act\.weight": "pair.slope.weight",
    r"output\.conv\.(\w+)": r"tail.\1",
    **{rf"{t}\.(\d+)\.(conv[12])\.(\w+)": rf"{o}.\1.\2.\3" for t, o in _BRANCHES.items()},
    **{rf"{t}\.(\d+)\.(?:de)?conv\.(\w+)": rf"{o}.\1.conv.\2" for t, o in _BRANCHES.items()},
    **{rf"{t}\.(\d+)\.act\.weight": rf"{o}.\1.slope.weight" for t, o in _BRANCHES.items()},
}


def rbpn(state: State) -> Match | None:
    """RBPN (alterzero/RBPN-PyTorch, amanchadha/iSeeBetter); the number of frames follows from the last kernel."""
    blocks = count(state, r"res_feat1\.(\d+)\.") - 1
    last = f"res_feat3.{blocks}.conv.weight"
    if blocks < 0 or not has(state, "feat0.conv.weight", "feat1.conv.weight", "output.conv.weight", last):
        return None
    width, channels = width_and_channels(state, "feat0.conv.weight")
    features = state[last].shape[1]
    scale = SCALES.get(state[last].shape[-1])
    if scale is None:
        return None
    frames = state["output.conv.weight"].shape[1] // features + 1
    spec = {
        "name": "rbpn", "scale": scale, "channels": channels, "width": width, "features": features,
        "blocks": blocks, "frames": frames,
    }  # fmt: skip
    return Match(spec, renamed(state, _RBPN))


def dbpn_s(state: State) -> Match | None:
    """The small back-projection network by itself: a part, from features to features."""
    first = "up1.up_conv1.deconv.weight"
    if not has(state, "feat1.conv.weight", first) or state[first].shape[-1] not in SCALES:
        return None
    features, width = width_and_channels(state, "feat1.conv.weight")
    spec: Spec = {"scale": SCALES[state[first].shape[-1]], "width": width, "features": features}
    return Match({"name": "dbpn-s", **spec}, renamed(state, _PROJECTION))


LAYOUTS: tuple[Layout, ...] = (rbpn,)
