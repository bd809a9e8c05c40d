import gc

gc.disable()  # what is imported stays: looking through it again and again takes a tenth of the start

from nacre.server.main import main  # noqa: E402

main()
