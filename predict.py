"""Use a trained network: `python predict.py input=photos/`."""

from facekp.cli.programs import predict_main

if __name__ == "__main__":
    predict_main()
