"""What benchmarks show, written into docs/performance.md: tables, remarks and plots.

shown      collects what the benchmark at hand shows
markdown   makes Markdown of it
parts      puts that between the markers of a document
drawing    makes SVG of the plots; the only module that needs matplotlib
writing    does all of it for one benchmark
"""
