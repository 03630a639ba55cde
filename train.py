"""Train a keypoint network: `python train.py experiment=part3 trainer.gpus=1`."""

from facekp.cli.programs import train_main

if __name__ == "__main__":
    train_main()
