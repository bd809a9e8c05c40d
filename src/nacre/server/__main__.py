from nacre.server.main import main

main()
