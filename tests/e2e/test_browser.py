"""The pages in a real browser: Chromium, driven by Playwright."""

from __future__ import annotations

import csv
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from facekp.core.image import read_image
from tests.conftest import ROOT

playwright = pytest.importorskip("playwright.sync_api")
CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt install chromium"),
]
WIDE, PHONE = {"width": 1200, "height": 800}, {"width": 390, "height": 780}


class Served:
    """A task that serves a page."""

    def __init__(self, *arguments: str) -> None:
        command = [sys.executable, "predict.py", *arguments, "browser=false"]
        self.process = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert self.process.stdout is not None
        self.said = ""
        for line in self.process.stdout:
            self.said += line
            if found := re.search(r"http://127\S+", line):
                self.address = found[0]
                return
        raise AssertionError(self.said)

    def end(self) -> str:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        return self.said + self.process.communicate(timeout=20)[0]


@pytest.fixture
def serve() -> Iterator[Callable[..., Served]]:
    made: list[Served] = []

    def start(*arguments: str) -> Served:
        made.append(Served(*arguments))
        return made[-1]

    yield start
    for served in made:
        served.process.kill()
        served.process.communicate()


class Browser:
    """Opens pages, and keeps what they say to the console and ask of others."""

    def __init__(self, chromium: Any) -> None:
        self.chromium = chromium
        self.messages: list[str] = []
        self.expected: tuple[str, ...] = ()
        self.hosts: set[str] = set()

    def page(self, address: str, size: dict[str, int] = WIDE, **settings: Any) -> Any:
        context = self.chromium.new_context(viewport=size, **settings)
        page = context.new_page()
        page.set_default_timeout(15000)
        page.on("console", lambda message: self.messages.append(message.text))
        page.on("pageerror", lambda error: self.messages.append(str(error)))
        page.on("request", lambda request: self.hosts.add(request.url.split("/")[2]))
        page.goto(address)
        return page

    def check(self) -> None:
        odd = [text for text in self.messages if not any(part in text for part in self.expected)]
        assert not odd
        assert {host.split(":")[0] for host in self.hosts} <= {"127.0.0.1"}


@pytest.fixture
def browser(request: pytest.FixtureRequest) -> Iterator[Browser]:
    arguments = getattr(request, "param", [])
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", *arguments]
        )
        opened = Browser(chromium)
        yield opened
        opened.check()
        chromium.close()


@pytest.fixture(scope="module")
def astronaut() -> np.ndarray:
    return read_image(ROOT / "docs/astronaut.webp")


@pytest.fixture
def photos(tmp_path: Path, astronaut: np.ndarray) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, image in (("a", astronaut), ("b", astronaut[:, ::-1]), ("c", astronaut[20:, 30:])):
        cv2.imwrite(str(folder / f"{name}.jpg"), image[..., ::-1])
    return folder


def rows(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as stream:
        return list(csv.DictReader(stream))


def points(page: Any) -> np.ndarray:
    """Points (K, 2) of the selected face as they are drawn."""
    script = "all => all.map(one => [one.cx.baseVal.value, one.cy.baseVal.value])"
    return np.array(page.locator(".face:not(.other) .point").evaluate_all(script))


def ready(page: Any) -> None:
    page.locator(".face:not(.other) .point").first.wait_for()


def saved(page: Any) -> None:
    playwright.expect(page.locator("#saved")).to_contain_text("saved in")


def open_photo(page: Any, name: str) -> None:
    page.locator("#strip button", has_text=name).click()
    playwright.expect(page.locator("#name")).to_have_text(name)
    ready(page)


def two_tabs(browser: Browser, served: Served) -> tuple[Any, Any]:
    """Two pages that show the same photo."""
    pages = browser.page(served.address), browser.page(served.address)
    for page in pages:
        ready(page)
        open_photo(page, "a.jpg")
    return pages


def middle(page: Any, selector: str, at: int = 0) -> tuple[float, float]:
    box = page.locator(selector).nth(at).bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def drag(page: Any, start: tuple[float, float], by: tuple[float, float]) -> None:
    page.mouse.move(*start)
    page.mouse.down()
    for step in (0.3, 0.7, 1):
        page.mouse.move(start[0] + step * by[0], start[1] + step * by[1])
    page.mouse.up()


def point(number: int) -> str:
    return f'.face:not(.other) .point[data-point="{number}"]'


def test_boxes_and_points_are_dragged_undone_and_redone(
    serve: Callable[..., Served], browser: Browser, photos: Path, tmp_path: Path
) -> None:
    served = serve("task=annotate", f"input={photos}", f"output={tmp_path / 'o'}")
    page = browser.page(served.address)
    ready(page)
    open_photo(page, "a.jpg")
    page.keyboard.press("1")
    before = points(page)
    drag(page, middle(page, point(30)), (40, 25))
    saved(page)
    moved = points(page)
    assert np.linalg.norm(moved[30] - before[30]) > 3
    np.testing.assert_allclose(np.delete(moved, 30, 0), np.delete(before, 30, 0))
    # The box: the network fits the points again, but for the one that was placed by hand.
    corner = ".face:not(.other) .handle"
    drag(page, middle(page, corner, 0), (45, 60))
    page.wait_for_timeout(400)
    fitted = points(page)
    np.testing.assert_allclose(fitted[30], moved[30])
    assert 0 < np.linalg.norm(np.delete(fitted - moved, 30, 0), axis=1).mean() < 4
    row = rows(tmp_path / "o/corrected.csv")[0]
    assert (row["moved"], row["edited"]) == ("30", "1")
    np.testing.assert_allclose([float(row["x0"]), float(row["y0"])], fitted[0], atol=2e-3)
    for expected in (moved, before):
        page.keyboard.press("Control+z")
        np.testing.assert_allclose(points(page), expected)
    assert page.get_by_role("button", name="Undo").is_disabled()
    page.keyboard.press("Control+Shift+Z")
    np.testing.assert_allclose(points(page), moved)
    # As macOS has it: Shift does not make a capital letter beside Cmd.
    page.evaluate(
        "document.getElementById('stage').dispatchEvent(new KeyboardEvent('keydown', "
        "{ key: 'z', metaKey: true, shiftKey: true, bubbles: true }))"
    )
    np.testing.assert_allclose(points(page), fitted)
    page.wait_for_timeout(300)
    row = rows(tmp_path / "o/corrected.csv")[0]
    np.testing.assert_allclose([float(row["x0"]), float(row["y0"])], fitted[0], atol=2e-3)
    # Turned, drawn and deleted.
    count = len(page.locator("#faces button").all())
    page.keyboard.press("0")
    drag(page, middle(page, ".face:not(.other) circle.handle"), (30, 12))
    assert abs(float(rows(tmp_path / "o/corrected.csv")[0]["angle"])) < 90
    page.keyboard.press("b")
    playwright.expect(page.locator("#stage.drawing")).to_be_visible()
    stage = page.locator("#stage").bounding_box()
    drag(page, (stage["x"] + stage["width"] / 2, stage["y"] + stage["height"] / 2), (90, 90))
    playwright.expect(page.locator("#faces button")).to_have_count(count + 1)
    page.keyboard.press("Delete")
    playwright.expect(page.locator("#faces button")).to_have_count(count)
    assert "1 of 3 photos corrected" in served.end()


@pytest.mark.parametrize("how", ["browser", "server"])
def test_nothing_is_lost_when_the_browser_or_the_server_is_killed(
    serve: Callable[..., Served], browser: Browser, photos: Path, tmp_path: Path, how: str
) -> None:
    browser.expected = ("Failed to load resource", "ERR_CONNECTION")
    file = tmp_path / "mine.csv"
    arguments = ["task=annotate", f"input={photos}", f"output={tmp_path / 'o'}", f"points={file}"]
    served = serve(*arguments)
    page = browser.page(served.address)
    ready(page)
    open_photo(page, "b.jpg")
    drag(page, middle(page, point(8)), (11, 17))
    saved(page)
    placed = points(page)[8]
    page.keyboard.press("Enter")
    if how == "browser":
        page.close(run_before_unload=False)
        page = browser.page(served.address)
    else:
        served.process.kill()
        playwright.expect(page.locator("#notices")).to_contain_text("the server does not answer")
        page.close()
        served = serve(*arguments)
        page = browser.page(served.address)
    ready(page)
    playwright.expect(page.locator("#strip .edited")).to_have_count(1)
    open_photo(page, "b.jpg")
    np.testing.assert_allclose(points(page)[8], placed, atol=2e-3)
    served.end()


def test_of_two_tabs_the_later_change_is_refused_and_kept(
    serve: Callable[..., Served], browser: Browser, photos: Path, tmp_path: Path
) -> None:
    browser.expected = ("409",)
    served = serve("task=annotate", f"input={photos}", f"output={tmp_path / 'o'}")
    first, second = two_tabs(browser, served)
    # The second does not hear of the first's change before it makes its own.
    second.route("**/status/**", lambda route: route.abort())
    browser.expected += ("Failed to load resource", "ERR_FAILED")
    drag(first, middle(first, point(8)), (0, 30))
    saved(first)
    drag(second, middle(second, point(30)), (30, 0))
    playwright.expect(second.locator("#notices")).to_contain_text("changed in another window")
    mine = points(first)
    np.testing.assert_allclose(points(second), mine, atol=2e-3)
    second.keyboard.press("Control+z")
    again = points(second)
    assert np.linalg.norm(again[30] - mine[30]) > 3
    first.wait_for_timeout(2500)
    np.testing.assert_allclose(points(first), again, atol=2e-3)  # which follows
    served.end()


def test_a_change_of_another_tab_does_not_end_a_drag(
    serve: Callable[..., Served], browser: Browser, photos: Path, tmp_path: Path
) -> None:
    browser.expected = ("409",)
    served = serve("task=annotate", f"input={photos}", f"output={tmp_path / 'o'}")
    first, second = two_tabs(browser, served)
    start = middle(second, point(30))
    second.mouse.move(*start)
    second.mouse.down()
    second.mouse.move(start[0] + 25, start[1])
    drag(first, middle(first, point(8)), (0, 30))
    saved(first)
    second.wait_for_timeout(2500)  # it hears of the change
    second.mouse.move(start[0] + 30, start[1])
    second.mouse.up()
    playwright.expect(second.locator("#notices")).to_contain_text("changed in another window")
    np.testing.assert_allclose(points(second), points(first), atol=2e-3)
    served.end()


def test_keys_do_nothing_while_something_is_dragged(
    serve: Callable[..., Served], browser: Browser, photos: Path, tmp_path: Path
) -> None:
    served = serve("task=annotate", f"input={photos}", f"output={tmp_path / 'o'}")
    page = browser.page(served.address)
    ready(page)
    open_photo(page, "a.jpg")
    before = points(page)
    for selector in (point(30), ".face:not(.other) .handle"):
        start = middle(page, selector)
        page.mouse.move(*start)
        page.mouse.down()
        page.mouse.move(start[0] + 12, start[1] + 9)
        for key in ("]", ".", "Delete", "Enter", "Control+z"):
            page.keyboard.press(key)
        page.mouse.move(start[0] + 20, start[1] + 9)
        page.mouse.up()
        page.wait_for_timeout(300)
    saved(page)
    assert page.locator("#name").inner_text() == "a.jpg"
    assert rows(tmp_path / "o/corrected.csv")[0]["moved"] == "30"
    for _ in range(2):
        page.keyboard.press("Control+z")
    np.testing.assert_allclose(points(page), before)
    served.end()


def test_a_change_that_cannot_be_saved_is_sent_again(
    serve: Callable[..., Served], browser: Browser, photos: Path, tmp_path: Path
) -> None:
    browser.expected = ("507", "409", "ERR_FAILED")
    served = serve("task=annotate", f"input={photos}", f"output={tmp_path / 'o'}")
    page, other = two_tabs(browser, served)
    sent = []

    def full(route: Any) -> None:
        if route.request.method == "PUT":
            sent.append(route.request)
            route.fulfill(status=507, json={"error": "disk full"})
        else:
            route.continue_()

    page.route("**/photos/0", full)
    for _ in range(5):
        page.keyboard.press("r")
        page.wait_for_timeout(150)
    playwright.expect(page.locator("#saved")).to_contain_text("NOT SAVED: disk full")
    tries = len(sent)
    page.wait_for_timeout(3500)
    assert len(sent) <= tries + 2  # one chain of tries
    page.unroute("**/photos/0")
    saved(page)
    playwright.expect(page.locator("#notices div")).to_have_count(0)
    # Refused, and what the other made cannot be read at first.
    page.route("**/status/**", lambda route: route.abort())
    other.wait_for_timeout(2000)
    other.keyboard.press("e")
    saved(other)
    page.route("**/photos/0", lambda r: r.abort() if r.request.method == "GET" else r.continue_())
    page.keyboard.press("r")
    playwright.expect(page.locator("#saved")).to_contain_text("NOT SAVED")
    page.unroute("**/photos/0")
    playwright.expect(page.locator("#notices")).to_contain_text("changed in another window")
    served.end()


def test_a_thousand_photos(
    serve: Callable[..., Served], browser: Browser, tmp_path: Path, astronaut: np.ndarray
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    small = cv2.imencode(".jpg", cv2.resize(astronaut, (200, 200))[..., ::-1])[1].tobytes()
    for number in range(1000):
        (folder / f"{number:04d}.jpg").write_bytes(small)
    served = serve("task=annotate", f"input={folder}", f"output={tmp_path / 'o'}")
    start = time.perf_counter()
    page = browser.page(served.address)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    ready(page)
    assert time.perf_counter() - start < 10
    assert page.locator("#strip li").count() == 1000
    assert sum("thumbnail" in url for url in asked) < 60  # only what can be seen
    page.keyboard.press("Enter")
    saved(page)
    page.select_option("#order", "name")
    page.evaluate("document.querySelector('#strip').lastElementChild.scrollIntoView()")
    page.locator("#strip button", has_text="0999.jpg").click()
    playwright.expect(page.locator("#name")).to_have_text("0999.jpg")
    served.end()


def test_a_photo_of_48_megapixels(
    serve: Callable[..., Served], browser: Browser, tmp_path: Path, astronaut: np.ndarray
) -> None:
    large = cv2.resize(astronaut, (8000, 6000), interpolation=cv2.INTER_CUBIC)
    cv2.imwrite(str(tmp_path / "large.jpg"), large[..., ::-1])
    served = serve("task=annotate", f"input={tmp_path / 'large.jpg'}", f"output={tmp_path / 'o'}")
    page = browser.page(served.address)
    ready(page)
    with page.expect_response(lambda answer: "/part?" in answer.url):
        for key in "1+++":
            page.keyboard.press(key)
    before = points(page)
    drag(page, middle(page, point(30)), (20, 0))
    moved = points(page)[30] - before[30]
    scale = page.evaluate("document.querySelector('#stage').clientWidth") / float(
        page.locator("#stage").get_attribute("viewBox").split()[2]
    )
    np.testing.assert_allclose(moved * scale, [20, 0], atol=1)
    served.end()


def test_a_broken_file_is_named_and_the_others_go_on(
    serve: Callable[..., Served], browser: Browser, photos: Path, tmp_path: Path
) -> None:
    browser.expected = ("422",)
    (photos / "b.jpg").write_bytes((photos / "b.jpg").read_bytes()[:900])
    (photos / "d.png").write_text("no picture")
    served = serve("task=annotate", f"input={photos}", f"output={tmp_path / 'o'}")
    page = browser.page(served.address)
    ready(page)
    playwright.expect(page.locator("#strip .unusable")).to_have_count(2)
    page.locator("#strip button", has_text="b.jpg").click()
    playwright.expect(page.locator("#hint")).to_contain_text("cannot be decoded")
    for name in ("a.jpg", "c.jpg"):
        open_photo(page, name)
        page.keyboard.press("Enter")
    playwright.expect(page.locator("#progress")).to_contain_text("2 of 4 corrected")
    served.end()


def test_the_keyboard_alone(
    serve: Callable[..., Served], browser: Browser, photos: Path, tmp_path: Path
) -> None:
    file = tmp_path / "o/corrected.csv"
    served = serve("task=annotate", f"input={photos}", f"output={tmp_path / 'o'}")
    page = browser.page(served.address)
    ready(page)
    page.keyboard.press("?")
    playwright.expect(page.locator("#keys div").first).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("Delete")
    playwright.expect(page.locator(".face")).to_have_count(0)
    page.keyboard.press("a")
    ready(page)
    for key in ("ArrowLeft", "Shift+ArrowUp", "w", "t", "r", "e"):
        page.keyboard.press(key)
        page.wait_for_timeout(150)
    for _ in range(9):
        page.keyboard.press(".")
    before = points(page)[8]
    page.keyboard.press("ArrowRight")
    page.keyboard.press("o")
    page.keyboard.press(".")
    page.keyboard.press("m")
    page.wait_for_timeout(300)
    assert len(points(page)) == 67
    row = rows(file)[0]
    assert (row["moved"], row["v8"], row["v9"], row["x9"]) == ("8", "1", "0", "")
    assert float(row["x8"]) > before[0]
    page.keyboard.press("m")
    page.keyboard.press(",")
    page.keyboard.press("m")
    page.keyboard.press("m")  # as it was
    page.wait_for_timeout(300)
    again = rows(file)[0]
    assert (again["v9"], again["v8"], again["x8"], again["moved"]) == ("2", "1", row["x8"], "8")
    page.keyboard.press("c")  # to the next photo
    page.wait_for_timeout(500)
    assert len({row["file"] for row in rows(file)}) == 2
    for _ in range(3):
        ready(page)
        page.keyboard.press("Enter")
        page.wait_for_timeout(300)
    playwright.expect(page.locator("#progress")).to_contain_text("3 of 3 corrected")
    page.keyboard.press("x")
    page.get_by_role("button", name="Mean of all corrected").press("Enter")
    playwright.expect(page.locator("#result img")).to_be_visible()
    served.end()


def test_a_phone(
    serve: Callable[..., Served], browser: Browser, photos: Path, tmp_path: Path
) -> None:
    served = serve("task=annotate", f"input={photos}", f"output={tmp_path / 'o'}")
    page = browser.page(served.address, PHONE, has_touch=True, is_mobile=True)
    ready(page)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    page.get_by_role("button", name="Show face").tap()
    before, (x, y) = points(page), middle(page, point(30))
    session = page.context.new_cdp_session(page)

    def touch(event: str, *places: tuple[float, float]) -> None:
        touches = [{"x": px, "y": py, "id": at} for at, (px, py) in enumerate(places)]
        session.send("Input.dispatchTouchEvent", {"type": event, "touchPoints": touches})

    touch("touchStart", (x, y))
    for step in (6, 14, 24):
        touch("touchMove", (x + step, y))
    assert page.locator("#magnifier").is_visible()
    touch("touchEnd")
    saved(page)
    assert points(page)[30, 0] > before[30, 0] + 1
    box = page.locator("#stage").get_attribute("viewBox")
    touch("touchStart", (x - 20, y + 90), (x + 20, y + 90))
    touch("touchMove", (x - 60, y + 90), (x + 60, y + 90))
    touch("touchEnd")
    wider, narrower = (
        float(b.split()[2]) for b in (box, page.locator("#stage").get_attribute("viewBox"))
    )
    assert narrower < 0.7 * wider
    served.end()


def test_training_is_offered_after_twenty_photos(
    serve: Callable[..., Served], browser: Browser, tmp_path: Path, astronaut: np.ndarray
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(21):
        cv2.imwrite(str(folder / f"{number}.jpg"), cv2.resize(astronaut, (256, 256))[..., ::-1])
    served = serve("task=annotate", f"input={folder}", f"output={tmp_path / 'o'}")
    page = browser.page(served.address)
    ready(page)
    for number in range(20):
        ready(page)
        page.keyboard.press("Enter")
        playwright.expect(page.locator("#progress")).to_contain_text(f"{number + 1} of 21")
    page.get_by_role("button", name="Train on them").click()
    playwright.expect(page.locator("#command")).to_contain_text(
        "python train.py dataset=annotations"
    )
    served.end()


@pytest.fixture
def film(tmp_path_factory: pytest.TempPathFactory, astronaut: np.ndarray) -> Path:
    """A camera's film of a face that moves, as Chromium plays it."""
    path = ROOT / "runs/camera.y4m"
    path.parent.mkdir(exist_ok=True)
    large = cv2.resize(astronaut, (760, 760))
    with path.open("wb") as stream:
        stream.write(b"YUV4MPEG2 W640 H480 F30:1 Ip A1:1 C420jpeg\n")
        for at in range(60):
            left, top = int(60 + 50 * np.sin(at / 9.5)), int(30 + 20 * np.cos(at / 9.5))
            frame = np.ascontiguousarray(large[top : top + 480, left : left + 640])
            stream.write(b"FRAME\n" + cv2.cvtColor(frame, cv2.COLOR_RGB2YUV_I420).tobytes())
    return path


FAKE_CAMERA = [
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    f"--use-file-for-fake-video-capture={ROOT / 'runs/camera.y4m'}",
]


@pytest.mark.parametrize("browser", [FAKE_CAMERA], indirect=True)
def test_the_camera(
    serve: Callable[..., Served], film: Path, browser: Browser, tmp_path: Path
) -> None:
    served = serve("task=camera", f"output={tmp_path / 'o'}")
    page = browser.page(served.address)
    rate = page.locator("#rate")
    playwright.expect(rate).to_contain_text("1 face, 640x480")
    page.wait_for_timeout(2500)
    found = re.match(r"(\d+) frames/s", rate.inner_text())
    assert found is not None
    assert int(found[1]) >= 10  # 30 where nothing else runs
    page.keyboard.press("s")
    playwright.expect(page.locator("#saved")).to_contain_text("still_0001.jpg")
    with Image.open(tmp_path / "o/still_0001.jpg") as still:
        assert still.size == (640, 480)
    assert len(rows(tmp_path / "o/predictions.csv")) == 1
    red = "c => { const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data; let n = 0; for (let i = 0; i < d.length; i += 4) n += d[i] > 200 && d[i + 1] < 90 && d[i + 2] < 90; return n }"
    assert page.locator("#picture").evaluate(red) > 50
    served.end()
    film.unlink()


def test_no_camera_is_said(serve: Callable[..., Served], browser: Browser, tmp_path: Path) -> None:
    served = serve("task=camera", f"output={tmp_path / 'o'}")
    page = browser.page(served.address)
    playwright.expect(page.locator("#message")).to_have_text("There is no camera on this machine.")
    assert page.get_by_role("button", name="Save a still").is_disabled()
    served.end()


def test_it_ends_when_its_page_is_closed(
    serve: Callable[..., Served], browser: Browser, photos: Path, tmp_path: Path
) -> None:
    served = serve("task=annotate", f"input={photos}", f"output={tmp_path / 'o'}", "idle=1")
    page = browser.page(served.address)
    ready(page)
    page.wait_for_timeout(2500)
    assert served.process.poll() is None
    page.goto("about:blank")
    assert served.process.wait(8) == 0
