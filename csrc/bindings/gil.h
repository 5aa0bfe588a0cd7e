// Releases Python's global lock for a scope, as pybind11's gil_scoped_release does, but a daemon thread that is still
// inside the scope while the interpreter exits cannot abort the process.
#pragma once

#include <pybind11/pybind11.h>
#include <unistd.h>

#if defined(__GLIBCXX__)
#include <cxxabi.h>
#endif

namespace repsim {

class GilReleased {
  public:
    GilReleased() : state_(PyEval_SaveThread()) {}
    GilReleased(const GilReleased&) = delete;
    GilReleased& operator=(const GilReleased&) = delete;

    // Before Python 3.14 a thread that asks for the lock of an exiting interpreter is ended by pthread_exit, which
    // unwinds its stack. A destructor may not be unwound (std::terminate), and those of the frames above would touch
    // Python objects without the lock. So the thread sleeps until the process has ended, as Python 3.14 lets it.
    ~GilReleased() {
#if defined(__GLIBCXX__) && PY_VERSION_HEX < 0x030E0000
        try {
            PyEval_RestoreThread(state_);
        } catch (abi::__forced_unwind&) {
            for (;;) pause();
        }
#else
        PyEval_RestoreThread(state_);
#endif
    }

  private:
    PyThreadState* state_;
};

}  // namespace repsim
