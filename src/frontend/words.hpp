// The form without --json: parameters as words, as static-vdis passes them.
#pragma once
#include "invocation.hpp"
#include "text.hpp"

namespace vnvme::plugin {

// Writes the request's JSON object. An empty view: done; else what is wrong with the words.
std::string_view words_to_request(Text& out, const Invocation& call, int argc, const char* const* argv);

}  // namespace vnvme::plugin
