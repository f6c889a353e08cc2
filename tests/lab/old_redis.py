"""A server that speaks Redis's protocol and answers INFO as it is told; everything else is OK."""
import socketserver
import threading


class OldRedis:
    def __init__(self, info):
        outer = self
        self.info = info.replace("\n", "\r\n").encode()

        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                while line := self.rfile.readline():
                    words = []
                    for _ in range(int(line[1:])):
                        size = int(self.rfile.readline()[1:])
                        words.append(self.rfile.read(size + 2)[:-2])
                    answer = b"+OK\r\n"
                    if words[0].upper() == b"INFO":
                        answer = b"$%d\r\n%s\r\n" % (len(outer.info), outer.info)
                    self.wfile.write(answer)

        self.server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"redis://127.0.0.1:{self.server.server_address[1]}"

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
