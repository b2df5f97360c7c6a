"""The subcommands of the console command ``remix``, a file each."""
