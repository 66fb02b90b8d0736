"""Settings of the site's generator, Sphinx; ``tools/build_site.py`` runs it."""

project = "zkvm"
html_title = "zkvm"
extensions = ["myst_parser"]
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4
myst_url_schemes = {"http": None, "https": None, "mailto": None, "reference": "reference/{{path}}"}
html_theme = "furo"
html_static_path = ["pictures"]
html_show_sphinx = False
html_show_copyright = False
html_copy_source = False
highlight_language = "text"  # of blocks that name none
pygments_style = "friendly"
pygments_dark_style = "native"
linkcheck_ignore = ["reference/"]  # made beside the pages, and followed there
linkcheck_timeout = 30
linkcheck_retries = 2
