"""The exchange as people see it: the front page, the admin, and the commands that run and check it all."""
