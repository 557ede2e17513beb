"""Sphinx's configuration. No page loads anything from another host: fonts are the system's, search is in the page."""

project = "eBPF Workbook"
author = "the eBPF Workbook's authors"
language = "en"
extensions = ["myst_parser", "website.extension"]
myst_heading_anchors = 4
myst_enable_extensions = ["attrs_inline"]
exclude_patterns = ["examples"]
nitpicky = True
smartquotes = False  # pages are shown as they are written

html_theme = "furo"
html_title = "eBPF Workbook"
html_static_path = ["static"]
html_favicon = "static/icon.svg"
html_css_files = ["site.css"]
html_use_index = False
html_copy_source = False
html_show_sourcelink = False
html_show_copyright = False
html_theme_options: dict[str, list[str]] = {"top_of_page_buttons": []}
pygments_style = "default"
pygments_dark_style = "github-dark"
