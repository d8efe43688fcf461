"""How Sphinx builds these pages: tox -e docs."""

import pathlib

project = 'glance-taskflow'
copyright = 'the glance-taskflow authors'
extensions = ['reno.sphinxext']
root_doc = 'index'
html_theme = 'alabaster'
html_theme_options = {'description': 'An image service whose heart is a pluggable task executor'}
html_sidebars = {'**': ['about.html', 'navigation.html', 'searchbox.html']}
nitpicky = True
smartquotes = False

# The release notes are read from git's history; without all of it there is no such page.
history = pathlib.Path(__file__).parents[2] / '.git'
if not history.exists() or (history / 'shallow').exists():
    exclude_patterns = ['releasenotes.rst']
    suppress_warnings = ['toc.excluded']
