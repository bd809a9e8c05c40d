from nacre.cli.main import main

main()
