"""Finding exercises by what people type: the same code, and so the same answers, over both databases.

    words       what of a text is compared: folded words, and what is said for them
    typos       how far two words are apart
    document    an exercise as it is searched
    index       the exercises of one space: put, drop, match
    queries     which spaces a user sees, what moved in them, what they used

Why no index of the database's: docs/search.md.
"""
