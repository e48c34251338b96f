"""Work for workers that misbehaves: the third piece ends its process, the sixth never comes back."""

import os
import time


def make_work():
    def work(chunk, begin):
        for index in chunk:
            begin(index)
            if index == 3:
                os._exit(7)
            if index == 6:
                time.sleep(600)
        return chunk

    return work
