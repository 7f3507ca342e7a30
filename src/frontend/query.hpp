// What the front-end answers by itself: XAPI registers plugins at boot, long
// before a DPU or its daemon is there.
#pragma once
#include <string_view>

#include "text.hpp"

namespace vnvme::plugin {

// Plugin.Query. An empty type is the datapath plugin.
void write_query(Text& out, std::string_view sr_type);

// The complete error object of a failure that happened on this side of the socket.
void write_error(Text& out, std::string_view code, std::string_view text);
// A method that we do not have, in the form that XAPI's generated bindings print.
void write_unimplemented(Text& out, std::string_view method);

extern const char kHelp[];

}  // namespace vnvme::plugin
