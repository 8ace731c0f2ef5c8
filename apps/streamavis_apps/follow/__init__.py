"""`streamavis follow`: a pan-tilt head that turns to who sounds."""
