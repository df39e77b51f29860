"""A worker that serves destinations for one round, in a process of its own, for a test that kills it."""

import django


def main() -> None:
    django.setup()
    from orchestration.engine.nodes import Node
    from orchestration.outgoing import sender

    node = Node()
    node.register()
    sender.turn(node, sender.Child())


if __name__ == "__main__":
    main()
