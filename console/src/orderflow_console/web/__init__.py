"""The pages, made on the server: a browser is sent HTML, one style sheet and one small script, all from here."""
