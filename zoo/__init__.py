"""Scripts that train what ships in `conceptprobe/models/zoo`: one file per model, one command each."""
