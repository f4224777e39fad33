import io.delta.kernel.Scan;
import io.delta.kernel.Snapshot;
import io.delta.kernel.Table;
import io.delta.kernel.data.ColumnVector;
import io.delta.kernel.data.FilteredColumnarBatch;
import io.delta.kernel.data.Row;
import io.delta.kernel.defaults.engine.DefaultEngine;
import io.delta.kernel.engine.Engine;
import io.delta.kernel.internal.InternalScanFileUtils;
import io.delta.kernel.internal.data.ScanStateRow;
import io.delta.kernel.types.*;
import io.delta.kernel.utils.CloseableIterator;
import io.delta.kernel.utils.FileStatus;
import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import org.apache.hadoop.conf.Configuration;

/**
 * Reads a Delta table with the stock Java kernel: KernelReader.java TABLE OUT.
 * One JSON string a row, in the canonical text of readers.py.
 */
public class KernelReader {
  private static final String SEPARATOR = "\u001f";
  private static final String NULL = "\u001aN";

  public static void main(String[] args) throws Exception {
    Engine engine = DefaultEngine.create(new Configuration());
    Snapshot snapshot = Table.forPath(engine, args[0]).getLatestSnapshot(engine);
    StructType schema = snapshot.getSchema();
    Scan scan = snapshot.getScanBuilder().build();
    Row state = scan.getScanState(engine);
    StructType physical = ScanStateRow.getPhysicalDataReadSchema(state);
    try (PrintWriter out = new PrintWriter(
            Files.newBufferedWriter(Path.of(args[1]), StandardCharsets.UTF_8));
        CloseableIterator<FilteredColumnarBatch> batches = scan.getScanFiles(engine)) {
      while (batches.hasNext()) {
        try (CloseableIterator<Row> files = batches.next().getRows()) {
          while (files.hasNext()) readFile(engine, state, physical, schema, files.next(), out);
        }
      }
    }
  }

  private static void readFile(Engine engine, Row state, StructType physical, StructType schema,
      Row file, PrintWriter out) throws Exception {
    FileStatus status = InternalScanFileUtils.getAddFileStatus(file);
    var batches = engine.getParquetHandler().readParquetFiles(
        io.delta.kernel.internal.util.Utils.singletonCloseableIterator(status),
        physical, Optional.empty()).map(result -> result.getData());
    try (var logical = Scan.transformPhysicalData(engine, state, file, batches)) {
      while (logical.hasNext()) writeBatch(logical.next(), schema, out);
    }
  }

  private static void writeBatch(FilteredColumnarBatch batch, StructType schema, PrintWriter out) {
    Optional<ColumnVector> selection = batch.getSelectionVector();
    int rows = batch.getData().getSize();
    for (int row = 0; row < rows; row++) {
      if (selection.isPresent()
          && (selection.get().isNullAt(row) || !selection.get().getBoolean(row))) continue;
      StringBuilder line = new StringBuilder();
      for (int column = 0; column < schema.length(); column++) {
        if (column > 0) line.append(SEPARATOR);
        String text = text(batch.getData().getColumnVector(column), row);
        line.append(text == null ? NULL : text);
      }
      out.write(json(line.toString()));
      out.write('\n');
    }
  }

  private static String text(ColumnVector vector, int row) {
    if (vector.isNullAt(row)) return null;
    DataType type = vector.getDataType();
    if (type instanceof ShortType) return Short.toString(vector.getShort(row));
    if (type instanceof ByteType) return Byte.toString(vector.getByte(row));
    if (type instanceof IntegerType || type instanceof DateType) {
      return Integer.toString(vector.getInt(row));
    }
    if (type instanceof LongType || type instanceof TimestampType
        || type instanceof TimestampNTZType) return Long.toString(vector.getLong(row));
    if (type instanceof BooleanType) return Boolean.toString(vector.getBoolean(row));
    if (type instanceof FloatType) return bits(vector.getFloat(row));
    if (type instanceof DoubleType) return bits(vector.getDouble(row));
    if (type instanceof DecimalType) {
      int scale = ((DecimalType) type).getScale();
      return vector.getDecimal(row).setScale(scale).toPlainString();
    }
    if (type instanceof BinaryType) return hex(vector.getBinary(row));
    if (type instanceof ArrayType) return array(vector, row);
    return vector.getString(row);
  }

  private static String array(ColumnVector vector, int row) {
    ColumnVector elements = vector.getArray(row).getElements();
    StringBuilder text = new StringBuilder("[");
    for (int i = 0; i < elements.getSize(); i++) {
      if (i > 0) text.append(',');
      String element = text(elements, i);
      text.append(element == null ? "null" : json(element));
    }
    return text.append(']').toString();
  }

  private static String bits(double value) {
    if (Double.isNaN(value)) return "NaN";
    return String.format("%016x", Double.doubleToRawLongBits(value));
  }

  private static String hex(byte[] bytes) {
    StringBuilder text = new StringBuilder();
    for (byte b : bytes) text.append(String.format("%02x", b));
    return text.toString();
  }

  private static String json(String text) {
    StringBuilder out = new StringBuilder("\"");
    for (char c : text.toCharArray()) {
      if (c == '"' || c == '\\') out.append('\\').append(c);
      else if (c == '\n') out.append("\\n");
      else if (c == '\r') out.append("\\r");
      else if (c == '\t') out.append("\\t");
      else if (c < 0x20) out.append(String.format("\\u%04x", (int) c));
      else out.append(c);
    }
    return out.append('"').toString();
  }
}
