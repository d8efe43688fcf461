"""A way to a server that can be cut or fall silent: what a service sees of an outage."""

import contextlib
import socket
import threading


class Relay:
    """Passes bytes on between those who connect to it and a server, until it is cut.

    port  where it listens, on the loopback
    """

    def __init__(self, host, port):
        self._server = host, port
        self._listener = socket.create_server(('127.0.0.1', 0), backlog=128)
        self.port = self._listener.getsockname()[1]
        self._pairs = set()
        self._down = False
        self._passing = threading.Event()
        self._passing.set()
        self._words = []  # after which an answer is lost
        self.lost = threading.Event()  # an answer was lost, and the connections with it
        self._closing = False
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def cut(self):
        """Break all connections, and accept none."""
        self._down = True
        self._break()

    def mend(self):
        self._down = False

    def silence(self):
        """Accept connections and bytes, and pass nothing on, until speak()."""
        self._passing.clear()

    def speak(self):
        self._passing.set()

    def lose_answer_to(self, *words):
        """Cut once these words came on one connection, in order, and the last is answered.

        The answer is not passed on.
        """
        self._words = list(words)

    def close(self):
        self.speak()
        self.cut()
        self._closing = True
        # accept() in another thread does not notice that its socket was closed.
        socket.create_connection(('127.0.0.1', self.port)).close()
        self._thread.join()
        self._listener.close()

    def _break(self):
        for one in [one for pair in self._pairs for one in pair]:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def _accept(self):
        while not self._closing:
            client, _place = self._listener.accept()
            if self._down or self._closing:
                client.close()
                continue
            try:
                server = socket.create_connection(self._server)
            except OSError:  # nobody listens there now
                client.close()
                continue
            pair = client, server
            self._pairs.add(pair)
            losing = threading.Event()  # the next answer on this connection is lost
            threading.Thread(target=self._ask, args=(pair, losing), daemon=True).start()
            threading.Thread(target=self._answer, args=(pair, losing), daemon=True).start()

    def _ask(self, pair, losing):
        client, server = pair
        heard = 0  # how many of the words this client has sent on this connection
        with contextlib.suppress(OSError):
            while data := client.recv(65536):
                while heard < len(self._words) and self._words[heard] in data:
                    heard += 1
                    if heard == len(self._words):
                        self._words = []
                        losing.set()
                self._passing.wait()
                server.sendall(data)
        self._over(pair)

    def _answer(self, pair, losing):
        client, server = pair
        with contextlib.suppress(OSError):
            while data := server.recv(65536):
                if losing.is_set():
                    self.cut()
                    self.lost.set()
                    break
                self._passing.wait()
                client.sendall(data)
        self._over(pair)

    def _over(self, pair):
        """Called for both directions of a pair; the second one closes its sockets."""
        is_first = pair in self._pairs
        self._pairs.discard(pair)
        for one in pair:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            if not is_first:
                one.close()
