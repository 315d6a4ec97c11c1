"""HDF5 files whose values lie in other files, or that declare far more than they hold."""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from tests.helpers.attacks.keras_configs import LEGACY, UNSAFE, archive, good_config
from tests.helpers.attacks.table import BOMB, FOREIGN, MALFORMED, attack

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.helpers.attacks.table import Site

    Spoil = Callable[[Site, h5py.Group, str], None]

GiB = 1 << 30
PLACES = {
    ".h5": "model_weights/dense/sequential/dense",
    ".weights.h5": "layers/dense/vars",
    ".keras": "layers/dense/vars",
}
KERNEL = {".h5": "kernel", ".weights.h5": "0", ".keras": "0"}
SHAPE = (4, 3)


def external_storage(site: Site, group: h5py.Group, name: str) -> None:
    """The values lie in a file of another name."""
    group.create_dataset(name, SHAPE, "float32", external=[(site.canary, 0, h5py.h5f.UNLIMITED)])


def external_link(site: Site, group: h5py.Group, name: str) -> None:
    """The dataset is another file's."""
    other = site.home / "good" / "other.h5"
    if not other.exists():
        with h5py.File(other, "w") as file:
            values = np.frombuffer(site_bytes(), "float32").reshape(SHAPE)
            file.create_dataset("secret", data=values)
    group[name] = h5py.ExternalLink(str(other), "/secret")


def site_bytes() -> bytes:
    """As many bytes of the canary as a kernel has."""
    from tests.helpers.attacks.table import CANARY

    return CANARY[: SHAPE[0] * SHAPE[1] * 4]


def virtual(site: Site, group: h5py.Group, name: str) -> None:
    """The dataset is put together from another file's."""
    external_link(site, group, "unused")
    del group["unused"]
    layout = h5py.VirtualLayout(shape=SHAPE, dtype="float32")
    layout[...] = h5py.VirtualSource(str(site.home / "good" / "other.h5"), "secret", SHAPE)
    group.create_virtual_dataset(name, layout)


def soft_link_out(site: Site, group: h5py.Group, name: str) -> None:
    """A soft link through a link that leaves the file."""
    other = site.home / "good" / "other.h5"
    external_link(site, group, "unused")
    del group["unused"]
    group["out"] = h5py.ExternalLink(str(other), "/")
    group[name] = h5py.SoftLink(f"{group.name}/out/secret")


def bomb(count: int) -> Spoil:
    """A shape of so many values, of which none is stored."""

    def spoil(site: Site, group: h5py.Group, name: str) -> None:
        del site
        group.create_dataset(name, (count,), "float32", chunks=(1 << 20,))

    return spoil


def many_bombs(site: Site, group: h5py.Group, name: str) -> None:
    """Datasets that are each just below what a guard of 4 GiB lets through."""
    for number in range(8):
        group.create_dataset(f"more{number}", (1_000_000_000,), "float32", chunks=(1 << 20,))
    bomb(1_000_000_000)(site, group, name)


def spoiled(site: Site, ending: str, spoil: Spoil) -> bytes:
    """The good file of that kind with another kernel."""
    with zipfile.ZipFile(io.BytesIO(site.good("good.keras"))) as good:
        inside = good.read("model.weights.h5")
    data = {".h5": site.good("good.h5"), ".weights.h5": site.good("good.weights.h5")}
    buffer = io.BytesIO(data.get(ending, inside))
    with h5py.File(buffer, "r+") as file:
        group = file[PLACES[ending]]
        del group[KERNEL[ending]]
        spoil(site, group, KERNEL[ending])
    return buffer.getvalue()


def _all() -> None:
    endings: tuple[str, ...] = (".h5", ".weights.h5", ".keras")
    for name, spoil, reasons, cve in (
        ("external_storage", external_storage, (FOREIGN, MALFORMED), "CVE-2026-1669"),
        ("external_link", external_link, (FOREIGN, MALFORMED), "CVE-2026-1669"),
        ("virtual_dataset", virtual, (FOREIGN, MALFORMED), "CVE-2026-1669"),
        ("soft_link_out", soft_link_out, (FOREIGN, MALFORMED), "CVE-2026-1669"),
        ("shape_bomb_3", bomb(3 * GiB // 4), (BOMB, MALFORMED), "CVE-2026-0897"),
        ("shape_bomb_8", bomb(2 * GiB), (BOMB, MALFORMED), "CVE-2026-12570"),
        ("shape_bombs_below", many_bombs, (BOMB, MALFORMED), "CVE-2026-12570"),
    ):
        for ending in endings:

            def write(site: Site, path: Path, spoil: Any = spoil, ending: str = ending) -> None:
                data = spoiled(site, ending, spoil)
                if ending == ".keras":
                    archive(path, site, good_config(site), **{"model.weights.h5": data})
                else:
                    path.write_bytes(data)

            short = ending.replace(".", "_")
            oracle = UNSAFE if ending == ".keras" else f"{LEGACY}:weights"
            attack(f"{name}{short}", ending, *reasons, cve=cve, oracle=oracle)(write)


_all()
