"""`fullbatch chat`: talking in the terminal to what runs, over the same API as any client.

target -> who is asked and with which key; server -> one answer as it comes; session -> one question after the other.
"""
