"""Benchmarks: each shows a table with its own baseline beside it, and plots if they help to decide.

A new one has a line in `bench.__main__.BENCHMARKS` and a part in docs/performance.md: a line
`<!-- bench: NAME -->` and, below it, a line `<!-- /bench: NAME -->`, where it belongs. What it
gives to `bench.table.show`, `bench.table.remark`, `bench.plot.bars` and `bench.plot.lines` is
written between the two, in that order. All benchmarks together take 15 minutes at most.
"""
