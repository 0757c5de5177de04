"""python -m tools.demo_model.corpus 5      prints five conversations"""

import sys
from random import Random

from . import conversation


def main() -> None:
    for seed in range(int(sys.argv[1]) if len(sys.argv) > 1 else 5):
        for message in conversation(Random(seed)):
            print(f"{message['role']:>9}: {message['content']}")
        print()


if __name__ == "__main__":
    main()
