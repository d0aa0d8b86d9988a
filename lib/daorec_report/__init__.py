"""daorec_report - the night at a glance: what scripts/daorec-report makes its page of. Private to
that program; recordings are read by daorec.py, which lies beside this folder.

    night      the numbers: one pass over the rows of a stream, in bounded memory
    losses     of these what was lost, by the ledger and by the rows
    pictures   first, mean and last frame, as PNG
    marks      what was noted, in the drawings and as a table
    charts     curves and histograms, as SVG (matplotlib)
    page       the page, as text
    units      numbers as people write them
"""
