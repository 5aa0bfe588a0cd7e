"""Tables, figures and one-file pages. This room reads results only: redrawing never recomputes."""
