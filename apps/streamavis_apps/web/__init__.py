"""The viewer in a browser: live picture, masks, sounding, audio classes; and its camera as input.

`WebView` is the server, `WebView.sink` what an engine writes to, `BrowserSource` the camera and
microphone of a browser. asyncio lives here only, on the server's own thread.
"""
