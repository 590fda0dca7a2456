"""Every link of the Markdown pages leads somewhere; those to the web are well formed.

python .ci/check_links.py

Looks at what git tracks, needs no network and nothing but Python. Pages that Python
files and workflows name (``docs/batch.md``) are looked for too.
"""

import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

ROOT = Path(__file__).resolve().parents[1]
LINK = re.compile(
    r"!?\[(?:[^\[\]]|\[[^\]]*\])*\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\)"
)
LABEL = re.compile(r"^\[[^\]]+\]:\s*(\S+)", re.M)
SOURCE = re.compile(r"\b(?:src|href)=\"([^\"]+)\"")
BARE = re.compile(r"(?<![\w/])https?://[^\s\"'`<>|\\]+")
PAGE = re.compile(r"(?<![\w./-])((?:docs|benchmarks)/[\w./-]+\.(?:md|py|png))\b")
CODE = re.compile(r"^(`{3,})[^\n]*\n.*?^\1 *$|`[^`\n]+`", re.M | re.S)
HEADING = re.compile(r"^#{1,6}[ \t]+(.+?)[ \t]*#*$", re.M)
TARGET = re.compile(r"^\(([\w-]+)\)=$", re.M)
HOST = re.compile(r"^(?:[a-z0-9-]+\.)+[a-z]{2,}$|^localhost$|^127\.0\.0\.1$", re.I)


def main() -> int:
    """Look at all files, and say which links are broken."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    files = [ROOT / name for name in listed.stdout.split("\0") if name]
    pages = [path for path in files if path.suffix == ".md"]
    sources = [path for path in files if path.suffix in {".py", ".toml", ".yml"}]
    faults = [fault for page in pages for fault in _faults_of_page(page)]
    faults += [fault for path in sources for fault in _faults_of_source(path)]
    for fault in faults:
        print(fault)
    print(f"links of {len(pages)} pages and {len(sources)} files: {len(faults)} faults")
    return min(len(faults), 1)


def _faults_of_page(page: Path) -> list[str]:
    text = CODE.sub(" ", page.read_text("utf-8"))
    links = [m[1] for kind in (LINK, LABEL, SOURCE) for m in kind.finditer(text)]
    links += [m[0].rstrip(".,;:)") for m in BARE.finditer(text)]
    return [
        f"{page.relative_to(ROOT)}: {link}: {why}"
        for link in dict.fromkeys(links)
        if (why := _what_is_wrong(link, page))
    ]


def _faults_of_source(path: Path) -> list[str]:
    """Say which pages a file names that are not there."""
    named = {m[1] for m in PAGE.finditer(path.read_text("utf-8"))}
    missing = sorted(name for name in named if not (ROOT / name).is_file())
    return [f"{path.relative_to(ROOT)}: {name}: no such file" for name in missing]


def _what_is_wrong(link: str, page: Path) -> str:
    """Return why a link leads nowhere; empty if it is right."""
    parts = urlsplit(link)
    if parts.scheme in {"http", "https"}:
        return "" if HOST.match(parts.hostname or "") else "no address"
    if parts.scheme:
        return "" if parts.scheme == "mailto" else f"unknown scheme {parts.scheme}"
    target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
    if not target.exists():
        return "no such file"
    if parts.fragment and target.suffix == ".md" and parts.fragment not in _ids(target):
        return "no such heading"
    return ""


@cache
def _ids(page: Path) -> frozenset[str]:
    """Return the names of a page's headings, as GitHub and MyST make them."""
    text = page.read_text("utf-8")
    fenced = re.sub(r"^(`{3,})[^\n]*\n.*?^\1 *$", " ", text, flags=re.M | re.S)
    found: set[str] = set(TARGET.findall(fenced))
    for heading in HEADING.findall(fenced):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
        slug = re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")
        number = 0
        name = slug
        while name in found:
            number += 1
            name = f"{slug}-{number}"
        found.add(name)
    return frozenset(found)


if __name__ == "__main__":
    sys.exit(main())
