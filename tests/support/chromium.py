"""Opens a page in Chromium, as Qt WebEngine has it in a wheel: no browser has to be installed.

python -m tests.support.chromium ADDRESS [--width W] [--height H] [--dark] [--until EXPRESSION]
[--screenshot FILE] [--pdf FILE]. Messages of the console go to stderr as they come, each behind CONSOLE.
Once the page is loaded and the expression is true, its source goes to stdout.
"""

import argparse
import os
import sys

ENVIRONMENT = {
    "QT_QPA_PLATFORM": "offscreen",
    "QT_QUICK_BACKEND": "software",
    "QTWEBENGINE_DISABLE_SANDBOX": "1",  # a container has no sandbox within it, and the pages are ours
}
FLAGS = "--disable-gpu --hide-scrollbars"
DARK = " --blink-settings=preferredColorScheme=0"
POLL, SETTLE = 50, 300  # milliseconds


def main():
    """Open the page, wait, and write what was asked for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("address")
    parser.add_argument("--width", type=int, default=1100)
    parser.add_argument("--height", type=int, default=1600)
    parser.add_argument("--dark", action="store_true")
    parser.add_argument("--until", default="true")
    parser.add_argument("--screenshot")
    parser.add_argument("--pdf")
    given = parser.parse_args()
    os.environ.update(ENVIRONMENT, QTWEBENGINE_CHROMIUM_FLAGS=FLAGS + DARK * given.dark)
    from PySide6.QtCore import QTimer, QUrl
    from PySide6.QtWebEngineCore import QWebEnginePage
    from PySide6.QtWebEngineWidgets import QWebEngineView
    from PySide6.QtWidgets import QApplication

    class Page(QWebEnginePage):
        """A page whose console is heard."""

        def javaScriptConsoleMessage(self, level, message, line, source):
            print("CONSOLE", level.name, f"{source}:{line}", message, file=sys.stderr, flush=True)

    application = QApplication(sys.argv[:1])
    view = QWebEngineView()
    page = Page(view)
    view.setPage(page)
    view.resize(given.width, given.height)
    view.show()

    def leave(source):
        sys.stdout.write(source)
        sys.stdout.flush()
        application.quit()

    def finish():
        if given.screenshot:
            view.grab().save(given.screenshot)
        if given.pdf:
            page.pdfPrintingFinished.connect(lambda *_: page.toHtml(leave))
            page.printToPdf(given.pdf)
        else:
            page.toHtml(leave)

    def look(reached):
        if reached:
            QTimer.singleShot(SETTLE, finish)
        else:
            QTimer.singleShot(POLL, wait)

    def wait():
        page.runJavaScript(f"Boolean({given.until})", 0, look)

    def loaded(is_loaded):
        if is_loaded:
            wait()
        else:
            print("The page could not be loaded.", file=sys.stderr, flush=True)
            application.exit(1)

    page.loadFinished.connect(loaded)
    page.load(QUrl(given.address))
    sys.exit(application.exec())


if __name__ == "__main__":
    main()
