"""From a command to a run folder: plan, extract, ask, draw, write. The only room that writes run folders."""
