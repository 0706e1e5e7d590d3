"""The site opens as files, where nobody serves its page of what is not found, and that page's links lead nowhere."""

from __future__ import annotations

from mkdocs.config.defaults import MkDocsConfig


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Leave out ``404.html``."""
    config.theme.static_templates.discard("404.html")
    return config
