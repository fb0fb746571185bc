"""What pyproject.toml cannot say: the compiled twins, which may fail to build, and the catalogues of messages."""

from __future__ import annotations

from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_py import build_py

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

SOURCE = Path(__file__).parent / "src"


def twins() -> list[Extension]:
    """Return the compiled twins as optional extensions; none where Cython itself is missing."""
    try:
        from Cython.Build import cythonize
    except ImportError:
        return []
    extensions = [
        Extension(
            ".".join(path.relative_to(SOURCE).with_suffix("").parts),
            [path.relative_to(SOURCE.parent).as_posix()],
        )
        for path in sorted(SOURCE.rglob("*.pyx"))
    ]
    compiled = list(
        cythonize(  # type: ignore[no-untyped-call]
            extensions,
            compiler_directives={"language_level": 3, "boundscheck": True, "wraparound": False},
        )
    )
    for extension in compiled:
        # Said here, for cythonize makes new extensions and forgets it.
        extension.optional = True
    return compiled


def compile_catalogues() -> None:
    """Make the .mo file beside every .po file that is newer."""
    from babel.messages.mofile import write_mo
    from babel.messages.pofile import read_po

    for source in SOURCE.rglob("*.po"):
        target = source.with_suffix(".mo")
        if target.exists() and target.stat().st_mtime >= source.stat().st_mtime:
            continue
        with source.open("rb") as text:
            catalogue = read_po(text)
        with target.open("wb") as compiled:
            write_mo(compiled, catalogue)


class BuildWithCatalogues(build_py):
    """Compiles the catalogues before the package's files are gathered."""

    def run(self) -> None:
        """Compile, then gather."""
        compile_catalogues()
        super().run()


def manual_pages() -> list[tuple[str, Sequence[str]]]:
    """Return each folder of the manual pages with its files, to be installed beside the package."""
    pages = sorted(Path(__file__).parent.glob("share/man/**/*.1"))
    root = Path(__file__).parent
    return [(page.parent.relative_to(root).as_posix(), [page.relative_to(root).as_posix()]) for page in pages]


setup(data_files=manual_pages(), ext_modules=twins(), cmdclass={"build_py": BuildWithCatalogues})
