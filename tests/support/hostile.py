"""Texts that would be markup, formulas, escape codes or overrides if a writer let them."""

from hypothesis import strategies as st

PIECES = [
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "</td></table>", "</title>", "]]>", "<!--",
    "-->", "&lt;b&gt;", "&#60;", '" onload="x', "' onload='x", "javascript:x", "{{ 7 * 7 }}", "{% raw %}",
    "$x^2$", "${x}", "[a](javascript:b)", "![a](b)", "<http://a.b>", "[a]: b", "**bold**", "_it_", "`code`",
    "```", "~~gone~~", "a|b", "# title", "- item", "+ item", "* item", "1. item", "2) item", "> quote",
    "---", "===", "\\", "\\|", "\\\\*", "    x", "=1+1", "=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)",
    "\t=1", "\r=1", "\n=1", " =1", "\uff1d1", "'=1", '"=1', ",=1", "\x1b[31m", "\x1b]0;title\x07",
    "\x1b]8;;http://a\x1b\\", "\x9b2J", "\x00", "\x07", "\x08", "\r", "\x7f", "\u202e", "\u2066", "\u2069",
    "\u2028", "\ud800", "\ufeff", "[red]", "[/]", "[link=x]", ":smile:", "{}", "{0}", "%s",
]  # fmt: skip
"""What has a meaning to some reader of text."""

hostile_texts = st.lists(
    st.sampled_from(PIECES) | st.text(max_size=4) | st.just(" "), min_size=1, max_size=5
).map("".join)
"""Texts made of such pieces, and of any characters between them."""

STEERING = {*map(chr, range(32)), *map(chr, range(0x7F, 0xA0)), *"\u2028\u2029\ufeff"} - {"\n", "\t"}
STEERING |= {
    *map(chr, range(0x202A, 0x202F)),
    *map(chr, range(0x2066, 0x206A)),
    *map(chr, range(0xD800, 0xE000)),
}
"""Characters that steer a terminal, or turn the order of what is read."""


def visible_words(text: str) -> str:
    """What a writer shows of a text but for white space: steering characters as Python writes them."""
    return "".join("".join(ascii(one)[1:-1] if one in STEERING else one for one in text).split())


def words_of_a_line(text: str) -> str:
    """The same where white space, line breaks among it, was made one space before."""
    return visible_words(" ".join(text.split()))
