// /etc/xapi.d/plugins/vnvme is a file whose #! line names this program: the
// kernel gives it that file's path, then XAPI's one argument.
#include <cstdio>
#include <cstdlib>
#include <string>

#include "cli/client.hpp"
#include "core/json.hpp"
#include "core/text.hpp"
#include "hostplugin/functions.hpp"

namespace {

using namespace vnvme;

std::string socket_path() {
  const char* given = std::getenv("VNVME_ADMIN_SOCKET");
  return given != nullptr && *given != '\0' ? given : "/run/vnvme/admin.sock";
}

hostplugin::Answer answer_to(const char* xml) {
  auto call = hostplugin::parse_call(xml);
  if (!call) return hostplugin::failure({"VNVME_BAD_CALL", call.error().text});
  cli::Client client(socket_path());
  auto ask = [&client](const std::string& verb, const Json& args, std::chrono::seconds limit) {
    return client.ask(verb, args, limit);
  };
  return hostplugin::perform(*call, ask);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(
        stderr,
        "usage: %s FILE XML-RPC-CALL\nXAPI runs it for `xe host-call-plugin plugin=vnvme`; functions: %s\n",
        argc > 0 ? argv[0] : "vnvme-host-plugin", join(hostplugin::function_names(), ", ").c_str());
    return 2;
  }
  std::string text = hostplugin::response(answer_to(argv[2]));
  bool printed = std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0;
  return printed ? 0 : 1;
}
