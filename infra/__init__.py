"""Where APEX runs: on AWS (`cloud`), on one machine (`local`), and the command line (`cli`)."""
