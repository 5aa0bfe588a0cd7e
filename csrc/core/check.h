// REPSIM_CHECK is for mistakes of the caller, REPSIM_ASSERT for mistakes in the engine.
#pragma once

#include <sstream>
#include <stdexcept>

#define REPSIM_CHECK(condition, message)                    \
    do {                                                    \
        if (!(condition)) {                                 \
            std::ostringstream repsim_text;                 \
            repsim_text << message;                         \
            throw std::invalid_argument(repsim_text.str()); \
        }                                                   \
    } while (false)

#define REPSIM_ASSERT(condition)                                                                             \
    do {                                                                                                     \
        if (!(condition)) throw std::logic_error("pyrepsim bug: " #condition " does not hold in " __FILE__); \
    } while (false)
