import re
import shutil
import sqlite3
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from ophora_client.review.desk import Request, ReviewDesk
from ophora_client.review.signing import ReviewKey
from ophora_client.site import Site, init_site
from ophora_client.site_report import report
from ophora_curation.store.manifest import Manifest
from reviewed_site import make_site, paths_of

CHROMIUM = shutil.which("chromium")
app = typer.Typer()
app.command()(report)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return make_site(tmp_path / "site", num_videos=2)


def write(site: Site, *options: str) -> str:
    result = CliRunner().invoke(app, ["--site", str(site.folder), *options])
    assert result.exit_code == 0, result.output
    return (site.folder / "curation-report.html").read_text()


def words(html: str) -> str:
    """What a reader sees."""
    html = re.sub(r"<style>.*?</style>", " ", html, flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]*>", " ", html).split())


def test_counts_are_those_of_the_manifest(site: Site) -> None:
    said = words(write(site))
    assert "videos curated, of 2 patients 2" in said
    assert "Incision 2 0 2 0 4" in said
    assert "All 2 2 6 2 12" in said
    assert "overlay unread quarantine 2" in said
    assert "text personal 2 0" in said
    assert "vocabulary 12" in said
    assert "read 3600" in said
    assert "lost (claimed by the file, never got) 2" in said
    assert "overlay detector PP-OCRv6-small/090f04abcd9d" in said
    assert "findings left in accepted clips, by 2 certificates 0" in said
    assert "Every signature and every tier verifies." in said


def test_thresholds_are_the_sites_own(tmp_path: Path) -> None:
    made = make_site(tmp_path / "site")
    text = (made.folder / "site.toml").read_text() + "[curation]\nmin_motion = 0.7\n"
    (made.folder / "site.toml").write_text(text)
    said = words(write(made))
    assert "static below 0.7" in said
    assert "violent above 60" in said


def test_a_report_that_may_be_mailed_holds_no_id_and_no_frame(site: Site) -> None:
    html = write(site)
    with Manifest.open(site.manifest_path) as manifest:
        clips, videos = manifest.clips(), manifest.videos()
    secrets = {clip.clip_id for clip in clips} | {clip.sha256 for clip in clips if clip.sha256}
    secrets |= {each for video in videos for each in (video.video_id, video.patient_id)}
    secrets |= {"5" * 64, "keratome", str(site.folder)}
    assert [each for each in secrets if each in html] == []
    assert "data:image" not in html
    assert "http" not in html.replace("http-equiv", "")


def test_frames_come_only_when_asked_for_and_with_a_warning(site: Site) -> None:
    html = write(site, "--with-frames")
    assert html.count("data:image/jpeg;base64,") == 4
    assert "Do not mail it" in words(html)


def test_decisions_and_their_verification_are_told(site: Site) -> None:
    paths = paths_of(site)
    desk = ReviewDesk.open(paths, key=ReviewKey.open(site.folder), reviewer="r-1")
    clip = desk.queue("quarantine")[0]
    desk.decide(
        Request(
            clip_id=clip.clip_id,
            decision="approve",
            sha256=clip.sha256,
            tier=clip.tier,
            num_reviews=0,
        )
    )
    assert "approve 1" in words(write(site))
    with sqlite3.connect(site.manifest_path) as database:
        database.execute("UPDATE reviews SET reviewer = 'r-2'")
    database.close()
    said = words(write(site))
    assert "Verification found 1 faults: signature 1" in said
    assert "verifies." not in said


def test_a_video_that_can_not_be_certified_is_counted(site: Site) -> None:
    with sqlite3.connect(site.manifest_path) as database:
        database.execute("UPDATE clips SET residual = 2 WHERE tier = 'tpt' AND clip_id LIKE '00%'")
    database.close()
    assert "1 videos can't be certified" in words(write(site))


def test_an_empty_manifest_gives_a_report_too(tmp_path: Path) -> None:
    site = init_site(tmp_path / "site", code="a")
    result = CliRunner().invoke(app, ["--site", str(site.folder)])
    assert (result.exit_code, "nothing curated yet" in result.output) == (1, True)
    Manifest.open(site.manifest_path).close()
    assert "Nothing was found on any clip." in words(write(site))


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no `chromium` on the path: apt install chromium")
def test_a_browser_shows_it_without_asking_for_anything(site: Site) -> None:
    from playwright.sync_api import sync_playwright

    write(site)
    path = site.folder / "curation-report.html"
    asked: list[str] = []
    complaints: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 390, "height": 844})
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: complaints.append(message.text))
        page.goto(path.as_uri())
        wide = page.evaluate("document.documentElement.scrollWidth")
        num_bars = page.evaluate("document.querySelectorAll('.plot rect').length")
        colour = page.evaluate("getComputedStyle(document.querySelector('rect.accepted')).fill")
        browser.close()
    assert asked == [path.as_uri()]
    assert complaints == []
    assert wide <= 390
    assert num_bars > 10
    assert colour == "rgb(11, 114, 133)"
