#include "query.hpp"

namespace vnvme::plugin {
namespace {

constexpr std::string_view kCommonFeatures =
    R"("SR_PROBE","SR_CREATE","SR_DELETE","SR_ATTACH","SR_DETACH","SR_SCAN","SR_UPDATE",)"
    R"("VDI_CREATE","VDI_DELETE","VDI_ATTACH","VDI_DETACH","VDI_ACTIVATE","VDI_DEACTIVATE","VDI_UPDATE",)"
    R"("VDI_INTRODUCE","VDI_ACTIVATE_READONLY")";
constexpr std::string_view kPoolFeatures =
    R"(,"VDI_SNAPSHOT","VDI_CLONE","VDI_RESIZE","VDI_RESIZE_ONLINE","VDI_REVERT")";

constexpr std::string_view kConfiguration =
    R"-("dpu":"The DPU: its name in /etc/vnvme/vnvmed.json, or its control endpoint, such as unix:/var/tmp/spdk.sock or tcp:192.0.2.1:5260",)-"
    R"-("drives":"The drives of the DPU that become this SR, by name or serial, separated by commas (`vnvme drives` lists them)",)-"
    R"-("cluster":"Size of a cluster of the pool, the unit of allocation, such as 4MiB (default: the DPU's)",)-"
    R"-("provisioning":"thin (default): space is taken when written; thick: at creation",)-"
    R"-("wipe":"What happens to the data of a destroyed volume: zero (default), unmap (only where the drive was measured to read zeros after it) or none",)-"
    R"-("force_drives":"Drives that may be taken although they hold data, by serial, separated by commas: what they hold is LOST",)-"
    R"-("pool_uuid":"An existing pool to use instead of making one (SR.probe lists them)")-";
constexpr std::string_view kRaid =
    R"-(,"raid":"How several drives are joined: raid0, raid1, raid5f or concat","strip_kib":"Strip size of a RAID in KiB (default 128)")-";

}  // namespace

void write_query(Text& out, std::string_view sr_type) {
  bool datapath = sr_type.empty();
  bool raw = sr_type == "vnvme-raw";
  out.add(R"({"plugin":)").add_quoted(datapath ? "vnvme" : sr_type);
  out.add(R"(,"name":)")
      .add_quoted(datapath ? "vnvme datapath"
                  : raw    ? "vnvme (plain NVMe namespaces)"
                           : "vnvme");
  out.add(R"(,"description":)");
  if (datapath)
    out.add_quoted("Gives NVMe namespaces of a DPU to virtual machines as PCI devices");
  else if (raw)
    out.add_quoted("Virtual NVMe drives out of NVMe drives or cards without snapshots");
  else
    out.add_quoted("Virtual NVMe drives of any size, with snapshots and clones, out of the drives of a DPU");
  out.add(R"(,"vendor":"vnvme","copyright":"The vnvme authors","version":")" VNVME_VERSION
          R"(","required_api_version":"5.0","features":[)");
  if (!datapath) out.add(kCommonFeatures);
  if (!datapath && !raw) out.add(kPoolFeatures);
  out.add(R"(],"configuration":{)");
  if (!datapath) out.add(kConfiguration);
  if (!datapath && !raw) out.add(kRaid);
  out.add(R"(},"required_cluster_stack":[]})");
}

void write_error(Text& out, std::string_view code, std::string_view text) {
  out.add(R"({"code":)").add_quoted(code);
  out.add(R"(,"params":["",)").add_quoted(text);
  out.add(R"(,""],"backtrace":{"error":)").add_quoted(text).add(R"(,"files":[],"lines":[]}})");
}

void write_unimplemented(Text& out, std::string_view method) {
  out.add(R"({"code":"SR_BACKEND_FAILURE","params":["Unimplemented",)").add_quoted(method);
  out.add(R"(],"backtrace":{"error":"Unimplemented: )")
      .add_escaped(method)
      .add(R"(","files":[],"lines":[]}})");
}

const char kHelp[] =
    R"(vnvme-plugin )" VNVME_VERSION R"(: one SMAPIv3 call of XAPI, passed on to the vnvme daemon.

XAPI runs it by itself, through the scripts that are named after the calls:
  /usr/libexec/xapi-storage-script/volume/org.xen.xapi.storage.vnvme/Volume.stat --json
with the parameters as one JSON object on stdin. By hand it works the same way:
  echo '{"sr":"SR UUID","key":"VDI UUID","dbg":"me"}' | .../Volume.stat --json
On success the result is printed as one JSON value and the exit code is 0. On
failure an object {code, params, backtrace} is printed and the exit code is 1.

Without --json (as static-vdis calls it) the parameters are words, the first of
them a name for the log:
  .../SR.attach me --configuration KEY VALUE [--configuration KEY VALUE ...]
  .../SR.probe me --configuration KEY VALUE ...
  .../SR.stat me SR        .../SR.ls me SR        .../SR.detach me SR
  .../Volume.stat me SR KEY
  .../Datapath.attach me URI DOMAIN      (also activate, activate_readonly, deactivate, detach)
  .../Plugin.Query me                    what this storage type can do
  .../Plugin.diagnostics me              is the daemon there, and what does it say
DOMAIN is the number of a domain; 0 is dom0, which gets a block device.

Environment:
  VNVME_SMAPI_SOCKET   the daemon's socket (/run/vnvme/smapi.sock)
  VNVME_DEADLINE_MS    shortens the time after which a call is given up

More: `vnvme --help` (the administrator's command), `systemctl status vnvmed`.
)";

}  // namespace vnvme::plugin
