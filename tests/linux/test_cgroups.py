from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portbook.linux import cgroups
from portbook.linux.cgroups import ContainerNames, Workload, control_groups, members, workload

from .children import needs_root

if TYPE_CHECKING:
    from pathlib import Path

    from .proc_tree import Tree

ID = "0123456789abcdef" * 4
OTHER = "fedcba9876543210" * 4
UID = "2b8a6d0c-3f6e-4f0a-9d7e-5a1f2c3b4d5e"
ESCAPED = UID.replace("-", "_")


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("", Workload()),
        ("/", Workload()),
        ("/../..", Workload()),
        ("/process/abc", Workload()),
        ("/init.scope", Workload("init.scope")),
        ("/system.slice", Workload("system.slice")),
        ("/system.slice/ssh.service", Workload("ssh.service")),
        ("/system.slice/system-getty.slice/getty@tty1.service", Workload("getty@tty1.service")),
        ("/system.slice/web.service/workers", Workload("web.service")),
        ("/system.slice/web.service/inner.slice", Workload("web.service")),
        ("/system.slice/_cpu.service", Workload("cpu.service")),
        ("/system.slice/cups.socket", Workload("cups.socket")),
        ("/user.slice/user-1000.slice", Workload("user-1000.slice")),
        ("/user.slice/user-1000.slice/session-3.scope", Workload("session-3.scope")),
        ("/user.slice/user-1000.slice/user@1000.service/app.slice/a.service", Workload("a.service")),
        ("/user.slice/user-1000.slice/user@1000.service/init.scope", Workload("user@1000.service")),
        ("/user.slice/user-1000.slice/user@1000.service/app.slice", Workload("user@1000.service")),
        ("/.service/.slice", Workload()),
        (f"/docker/{ID}", Workload(None, "docker", ID)),
        (f"/system.slice/docker-{ID}.scope", Workload(f"docker-{ID}.scope", "docker", ID)),
        (f"/docker/{OTHER}/docker/{ID}", Workload(None, "docker", ID)),
        (f"/docker/{ID}/system.slice/a.service", Workload("a.service", "docker", ID)),
        (f"/docker/{ID[:-1]}", Workload()),
        (f"/docker/{ID}0", Workload()),
        (f"/machine.slice/libpod-{ID}.scope/container", Workload(f"libpod-{ID}.scope", "podman", ID)),
        (f"/libpod_parent/libpod-{ID}", Workload(None, "podman", ID)),
        (f"/machine.slice/libpod-conmon-{ID}.scope", Workload(f"libpod-conmon-{ID}.scope")),
        (f"/machine.slice/crio-conmon-{ID}.scope", Workload(f"crio-conmon-{ID}.scope")),
        (
            f"/user.slice/user-1.slice/user@1.service/user.slice/libpod-{ID}.scope",
            Workload(f"libpod-{ID}.scope", "podman", ID),
        ),
        (f"/system.slice/nerdctl-{ID}.scope", Workload(f"nerdctl-{ID}.scope", "containerd", ID)),
        (f"/kubepods/burstable/pod{UID}/{ID}", Workload(None, None, ID, UID)),
        (f"/kubepods/pod{UID}/crio-{ID}", Workload(None, "cri-o", ID, UID)),
        (
            f"/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod{ESCAPED}.slice/cri-containerd-{ID}.scope",
            Workload(f"cri-containerd-{ID}.scope", "containerd", ID, UID),
        ),
        (
            f"/kubepods.slice/kubepods-pod{ESCAPED}.slice/crio-{ID}.scope",
            Workload(f"crio-{ID}.scope", "cri-o", ID, UID),
        ),
        (
            f"/system.slice/containerd.service/kubepods-besteffort-pod{ESCAPED}.slice:cri-containerd:{ID}",
            Workload("containerd.service", "containerd", ID, UID),
        ),
        (f"/kubepods/pod{ID[:32]}/{ID}", Workload(None, None, ID, ID[:32])),
        (f"/docker/{OTHER}/kubelet/kubepods/pod{UID}/{ID}", Workload(None, None, ID, UID)),
        ("/lxc/web", Workload(None, "lxc", "web")),
        ("/lxc.payload.web/system.slice/a.service", Workload("a.service", "lxc", "web")),
        ("/lxc.payload/web", Workload(None, "lxc", "web")),
        ("/lxc.monitor.web", Workload()),
        ("/lxc.payload.", Workload()),
        ("/machine.slice/machine-web\\x2d1.scope", Workload("machine-web\\x2d1.scope", "nspawn", "web-1")),
        (
            "/machine.slice/systemd-nspawn@web.service/payload",
            Workload("systemd-nspawn@web.service", "nspawn", "web"),
        ),
        (
            "/machine.slice/machine-lxc\\x2d7\\x2dweb.scope",
            Workload("machine-lxc\\x2d7\\x2dweb.scope", "lxc", "web"),
        ),
        ("/machine.slice/machine-qemu\\x2d1\\x2dvm.scope", Workload("machine-qemu\\x2d1\\x2dvm.scope")),
        ("/machine.slice/machine-\\xff.scope", Workload("machine-\\xff.scope", "nspawn", "\\xff")),
    ],
)
def test_workload(path: str, found: Workload) -> None:
    assert workload(path) == found


PARTS = st.sampled_from(
    [
        "docker",
        ID,
        f"pod{UID}",
        "lxc",
        "lxc.payload.",
        "machine-\\x2d\\xff.scope",
        ":",
        f"a:crio:{ID}",
        "user@1.service",
    ]
)


@given(st.lists(st.one_of(PARTS, st.text(max_size=20)), max_size=8))
def test_workload_of_anything(parts: list[str]) -> None:
    found = workload("/".join(parts))
    for value in (found.unit, found.container):
        assert value is None or value


def write_json(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def test_names_of_no_container(tmp_path: Path) -> None:
    names = ContainerNames(str(tmp_path))
    assert names.text(Workload("a.service")) is None
    assert names.text(Workload(None, "docker", ID)) == "docker:0123456789ab"
    assert names.text(Workload(None, None, ID)) == "0123456789ab"
    assert names.text(Workload(None, "lxc", "a-rather-long-name")) == "lxc:a-rather-long-name"
    assert names.text(Workload(None, "containerd", ID, UID)) == f"pod {UID} containerd:0123456789ab"
    assert names.text(Workload(None, None, None, UID)) == f"pod {UID}"


@pytest.mark.parametrize(
    "folder",
    ["var/lib/docker", "var/snap/docker/common/var-lib-docker", "home/a/.local/share/docker", "srv/moved"],
)
def test_names_of_docker(tmp_path: Path, folder: str) -> None:
    if folder == "srv/moved":
        write_json(tmp_path / "etc/docker/daemon.json", {"data-root": "/srv/moved"})
    write_json(tmp_path / folder / "containers" / ID / "config.v2.json", {"Name": "/web", "ID": ID})
    names = ContainerNames(str(tmp_path))
    assert names.text(Workload(None, "docker", ID)) == "docker:web"
    assert names.text(Workload(None, "docker", OTHER)) == "docker:fedcba987654"


@pytest.mark.parametrize("held", ["", "{", "[]", '{"Name": 5}', '{"Name": "/"}', "[" * 100000, "null", "\0"])
def test_names_of_docker_when_its_file_is_not_what_it_should_be(tmp_path: Path, held: str) -> None:
    path = tmp_path / "var/lib/docker/containers" / ID / "config.v2.json"
    write_json(path, None)
    path.write_text(held)
    assert ContainerNames(str(tmp_path)).text(Workload(None, "docker", ID)) == "docker:0123456789ab"


def test_a_name_that_is_half_a_surrogate_pair(tmp_path: Path) -> None:
    path = tmp_path / "var/lib/docker/containers" / ID / "config.v2.json"
    write_json(path, {"Name": "/a\ud800"})
    assert ContainerNames(str(tmp_path)).text(Workload(None, "docker", ID)) == "docker:a\\ud800"


@pytest.mark.parametrize(
    "path",
    [
        "var/lib/containers/storage/overlay-containers/containers.json",
        "var/lib/containers/storage/overlay-containers/volatile-containers.json",
        "home/a/.local/share/containers/storage/overlay-containers/containers.json",
    ],
)
def test_names_of_podman(tmp_path: Path, path: str) -> None:
    write_json(tmp_path / path, [5, {}, {"id": OTHER, "names": []}, {"id": ID, "names": ["web", "other"]}])
    names = ContainerNames(str(tmp_path))
    assert names.text(Workload(None, "podman", ID)) == "podman:web"
    assert names.text(Workload(None, "podman", OTHER)) == "podman:fedcba987654"


def test_names_of_podman_when_its_file_is_no_list(tmp_path: Path) -> None:
    write_json(tmp_path / "var/lib/containers/storage/overlay-containers/containers.json", {"id": ID})
    assert ContainerNames(str(tmp_path)).text(Workload(None, "podman", ID)) == "podman:0123456789ab"


def test_names_of_pods(tmp_path: Path) -> None:
    for folder in (f"default_web-7d_{UID}", "nonsense", "a_b_c_d"):
        (tmp_path / "var/log/pods" / folder).mkdir(parents=True)
    names = ContainerNames(str(tmp_path))
    assert names.text(Workload(None, "containerd", ID, UID)) == "pod default/web-7d containerd:0123456789ab"
    assert names.text(Workload(None, None, ID, UID)) == "pod default/web-7d 0123456789ab"


def mounted(tree: Tree, folder: Path, root: str = "/") -> Path:
    """Say in a made-up /proc that control groups of version 2 are mounted at a folder."""
    folder.mkdir(exist_ok=True)
    point = str(folder).replace(" ", "\\040")
    tree.write("self/mountinfo", f"31 23 0:28 {root} {point} rw - cgroup2 cgroup2 rw\n")
    return folder


def test_control_groups_of_a_made_up_tree(tree: Tree, tmp_path: Path) -> None:
    top = mounted(tree, tmp_path / "control groups")
    deep = top / "a.slice/b.service/c"
    deep.mkdir(parents=True)
    (top / "other").mkdir()
    (top / "cgroup.procs").write_text("1\n")
    (top / "link").symlink_to(top / "a.slice")
    ids = [folder.stat().st_ino for folder in (top, deep, top / "a.slice")]
    assert control_groups([*ids, 0, 1], tree.path) == {
        ids[0]: "/",
        ids[1]: "/a.slice/b.service/c",
        ids[2]: "/a.slice",
    }
    assert control_groups([], tree.path) == {}


def test_control_groups_below_another_group(tree: Tree, tmp_path: Path) -> None:
    top = mounted(tree, tmp_path / "cgroup", "/docker/x")
    (top / "inner").mkdir()
    (top / "inner/cgroup.procs").write_text("12\n3\n0\n")
    ids = [folder.stat().st_ino for folder in (top, top / "inner")]
    assert control_groups(ids, tree.path) == {ids[0]: "/docker/x", ids[1]: "/docker/x/inner"}
    assert members("/docker/x/inner", tree.path) == [3, 12]
    assert members("/docker/x/none", tree.path) == []


def test_control_groups_without_a_mount(tree: Tree, tmp_path: Path) -> None:
    assert control_groups([5], tree.path) == {}
    assert members("/a", tree.path) == []
    mounted(tree, tmp_path / "cgroup").rmdir()
    assert control_groups([5], tree.path) == {}


def test_the_walk_is_bounded(tree: Tree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    top = mounted(tree, tmp_path / "cgroup")
    (top / "a/b/c/d").mkdir(parents=True)
    wanted = (top / "a/b/c/d").stat().st_ino
    assert control_groups([wanted], tree.path) == {wanted: "/a/b/c/d"}
    monkeypatch.setattr(cgroups, "WALK_LIMIT", 3)
    assert control_groups([wanted], tree.path) == {}


@needs_root
def test_a_real_control_group(control_group: Path) -> None:
    inner = control_group / "foo.service"
    inner.mkdir()
    try:
        (inner / "cgroup.procs").write_text(f"{os.getpid()}\n")
        ids = [control_group.stat().st_ino, inner.stat().st_ino]
        found = control_groups(ids)
        assert found == {ids[0]: f"/{control_group.name}", ids[1]: f"/{control_group.name}/foo.service"}
        assert members(found[ids[1]]) == [os.getpid()]
        assert members(found[ids[0]]) == []
    finally:
        (control_group.parent / "cgroup.procs").write_text(f"{os.getpid()}\n")
        inner.rmdir()
