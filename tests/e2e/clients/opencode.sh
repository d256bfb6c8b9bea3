opencode models fullbatch
opencode run "What do my notes in notes.txt say?"
