"""The viewer in a browser: live picture, masks, who sounds, what is heard; and its camera as input.

`WebView` is the server, `WebView.sink` what an engine writes to, `BrowserSource` the camera and
microphone of a visitor. asyncio lives here only, on the server's own thread.
"""
