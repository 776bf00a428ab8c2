const LINES_PER_PAGE = 50;

/** Writes lines of Latin text as a PDF: one font, one column. https://opensource.adobe.com/dc-acrobat-sdk-docs/pdfstandards/PDF32000_2008.pdf */
export function writePdf(lines: readonly string[]): Buffer {
  const pages: string[][] = [];
  for (let at = 0; at < lines.length; at += LINES_PER_PAGE) pages.push(lines.slice(at, at + LINES_PER_PAGE));
  const kids = pages.map((_, index) => `${4 + 2 * index} 0 R`).join(" ");
  const objects = [
    "<< /Type /Catalog /Pages 2 0 R >>",
    `<< /Type /Pages /Kids [${kids}] /Count ${pages.length} >>`,
    "<< /Type /Font /Subtype /Type1 /BaseFont /Courier /Encoding /WinAnsiEncoding >>",
    ...pages.flatMap((page, index) => [
      `<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents ${5 + 2 * index} 0 R /Resources << /Font << /F1 3 0 R >> >> >>`,
      toStream(page),
    ]),
  ];
  let text = "%PDF-1.4\n";
  const offsets = objects.map((object, index) => {
    const offset = text.length;
    text += `${index + 1} 0 obj\n${object}\nendobj\n`;
    return offset;
  });
  const table = offsets.map((offset) => `${String(offset).padStart(10, "0")} 00000 n \n`).join("");
  const size = objects.length + 1;
  text += `xref\n0 ${size}\n0000000000 65535 f \n${table}trailer\n<< /Size ${size} /Root 1 0 R >>\n`;
  return Buffer.from(`${text}startxref\n${text.lastIndexOf("xref\n")}\n%%EOF\n`, "latin1");
}

function toStream(lines: readonly string[]): string {
  const shown = lines.map(
    (line) => `(${line.replace(/[\\()]/g, "\\$&").replace(/[^\x20-\xff]/g, "?")}) Tj T*`,
  );
  const content = `BT /F1 11 Tf 14 TL 50 790 Td ${shown.join("\n")} ET`;
  return `<< /Length ${content.length} >>\nstream\n${content}\nendstream`;
}
