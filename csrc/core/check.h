// Two words for failure: CHECK for what a caller can cause, ASSERT for our own mistakes.
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
