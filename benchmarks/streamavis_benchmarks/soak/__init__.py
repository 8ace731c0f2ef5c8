"""Does a network, or the live engine, stay what it was, however long it runs?"""
